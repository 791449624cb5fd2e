"""One deployment as data: the inventory, the names and tags that follow from it, and which life of the name it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from provisioner import catalog
from provisioner.deployment.state import Place
from provisioner.errors import DriftError
from provisioner.hosts.facts import HostFacts
from provisioner.inventory.spec import Spec
from provisioner.resources import TAG_NAME, TAG_RUN, Instance, Resource

Tagged = TypeVar("Tagged", Resource, Instance)


@dataclass(frozen=True)
class Deployment:
    """What a deployment is called and consists of. Nothing here reaches outside.

    Attributes:
        spec: the inventory.
        run_id: tells this life of the name from others; "" in a plan, where nothing has begun.
        place: where it lives; None in a plan.
        local_facts: what this machine is, for the plan of `provider: local`.
        described_types: instance types that the catalog lacks, once the service was asked about them.
    """

    spec: Spec
    run_id: str = ""
    place: Place | None = None
    local_facts: HostFacts | None = None
    described_types: dict[str, catalog.InstanceType] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The inventory's name."""
        return self.spec.name

    @property
    def host_names(self) -> tuple[str, ...]:
        """The hosts in order; the Spark master runs on the first."""
        spec = self.spec
        if spec.creates_instances:
            return tuple(f"{spec.name}-{number:03d}" for number in range(1, spec.cloud.count + 1))
        return tuple(host.name for host in spec.hosts) or ("localhost",)

    @property
    def tags(self) -> dict[str, str]:
        """The tags that every resource gets in the call that creates it."""
        return {**self.spec.cloud.tags, **self.own_tags}

    @property
    def own_tags(self) -> dict[str, str]:
        """The tags that find this deployment's resources and nobody else's.

        The name alone would not do: a colleague or a CI job may use the same inventory in the same account.
        """
        return {TAG_NAME: self.name, TAG_RUN: self.run_id}

    def only_ours(self, resources: Sequence[Tagged]) -> list[Tagged]:
        """Resources that carry our name, when all of them are ours. Raises DriftError when some are not."""
        others = [resource for resource in resources if resource.tags.get(TAG_RUN) != self.run_id]
        if others:
            raise DriftError(
                f"the name {self.name} is taken by another run: {', '.join(resource.id for resource in others)}",
                "choose another name; or, if their state folder is lost, "
                f"`provisioner sweep --region {self.spec.cloud.region}` removes them",
            )
        return list(resources)

    @property
    def container(self) -> str:
        """The container's name; "" with `runtime: host`."""
        return self.spec.image.container if self.spec.image else ""

    @property
    def container_image(self) -> catalog.ContainerImage:
        """Where things are inside the inventory's image; an unknown one is taken to be like our own usual build."""
        image = self.spec.image
        image_facts = catalog.container_image(image.pull or image.build or "") if image else None
        return image_facts or catalog.usual_recipe()

    def instance_type(self, name: str) -> catalog.InstanceType | None:
        """A type of the catalog, or one that the service was asked about; None for any other."""
        return catalog.lookup(name) or self.described_types.get(name)
