"""Tags of what exists. ECS and VPC see to their own kinds each; an action's name and its most ids differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from provisioner.adapters.ecs.action_group import ActionGroup, batches
from provisioner.adapters.ecs.api import tag_list
from provisioner.adapters.ecs.sdk import VPC_TYPES
from provisioner.resources import Kind

TYPES: Final[Mapping[Kind, str]] = {
    "vpc": "VPC",
    "vswitch": "VSWITCH",
    "eip": "EIP",
    "security-group": "securitygroup",
    "key-pair": "keypair",
    "instance": "instance",
    "disk": "disk",
}
"""Each kind as the service's ResourceType."""

MOST_OF_VPC, MOST_OF_ECS = 20, 50  # ids in one call


class Tags(ActionGroup):
    """Setting tags and taking them away, a batch of resources after the other."""

    def tag(self, kind: Kind, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """TagResources: a tag that is there already gets the value given here."""
        for resources in _resources(kind, ids):
            self._api.call("TagResources", {**resources, "Tag": tag_list(tags)})

    def untag(self, kind: Kind, ids: Sequence[str], keys: Sequence[str]) -> None:
        """UntagResources, which VPC spells UnTagResources; a tag that is not there is no error."""
        action = "UnTagResources" if TYPES[kind] in VPC_TYPES else "UntagResources"
        for resources in _resources(kind, ids):
            self._api.call(action, {**resources, "TagKey": list(keys)})


def _resources(kind: Kind, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    size = MOST_OF_VPC if TYPES[kind] in VPC_TYPES else MOST_OF_ECS
    return ({"ResourceType": TYPES[kind], "ResourceId": batch} for batch in batches(ids, size))
