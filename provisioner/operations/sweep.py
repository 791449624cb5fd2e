"""What any deployment left behind in a region, found by tag, and its removal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provisioner.errors import LeftoverError
from provisioner.operations import places
from provisioner.operations.down import Proof, Removal
from provisioner.ports import Cloud
from provisioner.render import counted
from provisioner.resources import TAG_NAME, Resource
from provisioner.runner import KINDS, Event


@dataclass(frozen=True)
class Leftovers:
    """What carries our tag in a region; `remove` takes it away."""

    cloud: Cloud
    resources: tuple[Resource, ...]

    def remove(self) -> Removal:
        """Remove all of it, and look again. Raises LeftoverError when something is still there at the end."""
        for kind in KINDS:
            ids = [resource.id for resource in self.resources if resource.kind == kind]
            if ids:
                self.cloud.delete(kind, ids)
        left = _tagged(self.cloud) if self.resources else ()
        if left:
            listing = "\n".join(f"  {resource.kind} {resource.id} {resource.name}" for resource in left)
            raise LeftoverError(
                f"the sweep left {counted(len(left), 'resource')} behind:\n{listing}\n", "run the sweep again"
            )
        return Removal(self.resources, Proof.of(self.cloud, {TAG_NAME: ""}))


def leftovers(region: str, emit: Callable[[Event], None] = lambda event: None) -> Leftovers:
    """Find everything in a region that carries our tag, whichever deployment made it. Nothing is removed yet."""
    cloud = places.of_region(region, lambda text: emit(Event("progress", text)))
    return Leftovers(cloud, _tagged(cloud))


def _tagged(cloud: Cloud) -> tuple[Resource, ...]:
    # Every deployment's name is another value of the tag, and a filter asks for one: so all are listed.
    return tuple(resource for kind in KINDS for resource in cloud.find(kind, {}) if TAG_NAME in resource.tags)
