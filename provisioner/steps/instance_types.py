"""Instance types that the catalog lacks: the service says what their processor is, before anything is created."""

from __future__ import annotations

from provisioner import catalog
from provisioner.deployment.cloud_access import CloudAccess
from provisioner.hosts.expected import described_types, unlisted_types
from provisioner.inventory.spec import CloudSpec
from provisioner.ports import Cloud
from provisioner.step import Description, Finding, Presence, Step


def ask(cloud: Cloud, spec: CloudSpec) -> dict[str, catalog.InstanceType]:
    """The inventory's unlisted types as the service describes them; it is not asked when there are none.

    Raises what `described_types` does.
    """
    unlisted = unlisted_types(spec)
    return described_types(spec, cloud.type_offers(unlisted)) if unlisted else {}


class InstanceTypesStep(Step):
    """The service's word on the types that the catalog lacks."""

    name = "instance-types"

    def __init__(self, access: CloudAccess) -> None:
        self._access = access

    def describe(self) -> Description:
        return Description(f"Ask what processor {', '.join(unlisted_types(self._access.spec.cloud))} has")

    def check(self) -> Finding:
        """Present when all of them can do bfloat16, else an error."""
        described = ask(self._access.cloud, self._access.spec.cloud)
        self._access.deployment.described_types.update(described)
        return Finding(Presence.PRESENT, "; ".join(f"{name}: {known.cpu}" for name, known in described.items()))
