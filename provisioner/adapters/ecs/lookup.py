"""What exists: resources by tag or by id, and instances with all that is known of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from provisioner.adapters.ecs.action_group import ActionGroup, batches
from provisioner.adapters.ecs.api import dig, tag_list
from provisioner.errors import CloudUnavailableError
from provisioner.resources import Instance, Kind, Resource


@dataclass(frozen=True)
class _Listed:
    """How a kind is listed: the action, the fields of an item, and how to ask for certain ids.

    `ids` is the parameter that takes ids: several as a JSON array when it ends in `s`, else several with commas
    (`comma`) or one at a time.
    """

    action: str
    id: str
    name: str
    ids: str
    state: str = "Status"
    comma: bool = False


KINDS: dict[Kind, _Listed] = {
    "vpc": _Listed("DescribeVpcs", "VpcId", "VpcName", "VpcId", comma=True),
    "vswitch": _Listed("DescribeVSwitches", "VSwitchId", "VSwitchName", "VSwitchId"),
    "security-group": _Listed(
        "DescribeSecurityGroups", "SecurityGroupId", "SecurityGroupName", "SecurityGroupIds", state=""
    ),
    "key-pair": _Listed("DescribeKeyPairs", "KeyPairName", "KeyPairName", "KeyPairName", state=""),
    "instance": _Listed("DescribeInstances", "InstanceId", "InstanceName", "InstanceIds"),
    "disk": _Listed("DescribeDisks", "DiskId", "DiskName", "DiskIds"),
    "eip": _Listed("DescribeEipAddresses", "AllocationId", "Name", "AllocationId"),
}
MOST_WITH_COMMAS = 20  # DescribeVpcs takes so many ids


class Lookup(ActionGroup):
    """Resources and instances."""

    def find(self, kind: Kind, tags: Mapping[str, str]) -> list[Resource]:
        """Describe…: all resources of a kind that carry all of `tags` (with no tags: all there are)."""
        return [_resource(kind, item) for item in self._tagged(kind, tags)]

    def instances(self, tags: Mapping[str, str]) -> list[Instance]:
        """DescribeInstances by tag, every page."""
        return [_instance(item) for item in self._tagged("instance", tags)]

    def _tagged(self, kind: Kind, tags: Mapping[str, str]) -> list[dict[str, Any]]:
        listed = KINDS[kind]
        items = self._api.items(listed.action, {"Tag": tag_list(tags)} if tags else {})
        for item in items:
            # What is found here may be deleted next: a filter that was not honoured must not pass.
            if not tags.items() <= _tags(item).items():
                raise CloudUnavailableError(
                    f"{listed.action} listed {item.get(listed.id)}, which does not carry the tags asked for",
                    "this is not how the service answers: check PROVISIONER_ENDPOINT",
                    action=listed.action,
                )
        return items

    def _existing(self, kind: Kind, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Those of `ids` that exist, as the service describes them."""
        listed = KINDS[kind]
        if listed.ids.endswith("s"):
            asked = [json.dumps(batch) for batch in batches(ids)]
        elif listed.comma:
            asked = [",".join(batch) for batch in batches(ids, MOST_WITH_COMMAS)]
        else:
            asked = list(ids)
        items = (item for value in asked for item in self._api.items(listed.action, {listed.ids: value}))
        return [item for item in items if item.get(listed.id) in ids]

    def _states(self, kind: Kind, ids: Sequence[str]) -> dict[str, str]:
        """Those of `ids` that exist, each with its state ("" for kinds that have none)."""
        listed = KINDS[kind]
        return {str(item[listed.id]): str(item.get(listed.state) or "") for item in self._existing(kind, ids)}


def _resource(kind: Kind, item: Mapping[str, Any]) -> Resource:
    listed = KINDS[kind]
    return Resource(
        kind=kind,
        id=str(item[listed.id]),
        name=str(item.get(listed.name) or ""),
        state=str(item.get(listed.state) or ""),
        tags=_tags(item),
        zone=str(item.get("ZoneId") or ""),
    )


def _instance(item: Mapping[str, Any]) -> Instance:
    own = dig(item, "PublicIpAddress.IpAddress", [])
    public = own or [dig(item, "EipAddress.IpAddress", "")]
    private = dig(item, "VpcAttributes.PrivateIpAddress.IpAddress", []) or [""]
    return Instance(
        id=str(item["InstanceId"]),
        name=str(item.get("InstanceName") or ""),
        state=str(item.get("Status") or ""),
        instance_type=str(item.get("InstanceType") or ""),
        zone=str(item.get("ZoneId") or ""),
        public_ip=str(public[0]),
        private_ip=str(private[0]),
        created_at=_time(item.get("CreationTime")) or datetime.min.replace(tzinfo=timezone.utc),
        auto_release_at=_time(item.get("AutoReleaseTime")),
        spot=item.get("SpotStrategy") not in (None, "", "NoSpot"),
        deletion_protection=bool(item.get("DeletionProtection")),
        bandwidth_mbps=int(item.get("InternetMaxBandwidthOut") or 0) if own else None,
        tags=_tags(item),
    )


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    """ECS says TagKey and TagValue, VPC Key and Value."""
    return {
        str(tag.get("TagKey", tag.get("Key"))): str(tag.get("TagValue", tag.get("Value")) or "")
        for tag in dig(item, "Tags.Tag", [])
    }


def _time(text: str | None) -> datetime | None:
    """`2026-11-23T08:30Z`, with or without seconds."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
