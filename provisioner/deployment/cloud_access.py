"""What a step of the cloud may touch: the deployment's names and tags, the cloud, and the journal of what is made.

No host, no other file of the deployment's folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provisioner.deployment.deployment import Deployment
from provisioner.deployment.journal import Journal
from provisioner.inventory.spec import Spec
from provisioner.ports import Clock, Cloud
from provisioner.resources import TAG_NAME, Instance, Kind, Resource


@dataclass(frozen=True)
class CloudAccess:
    """The cloud, for one deployment.

    Attributes:
        deployment: whose names and tags everything gets.
        connect: gives the cloud, connected to at the first question.
        journal: what was made, and what was decided for it.
        clock: time.
        progress: takes a line for the person.
    """

    deployment: Deployment
    connect: Callable[[], Cloud]
    journal: Journal
    clock: Clock
    progress: Callable[[str], None]

    @property
    def spec(self) -> Spec:
        """The inventory."""
        return self.deployment.spec

    @property
    def cloud(self) -> Cloud:
        """The cloud in which the deployment lives."""
        return self.connect()

    def find(self, kind: Kind) -> list[Resource]:
        """All of a kind that are ours, once what was made shows. Raises DriftError for another run's of our name."""
        return self.journal.listed(kind, lambda: self.deployment.only_ours(self.cloud.find(kind, self._by_name)))

    def instances(self) -> list[Instance]:
        """All instances that are ours, once what was made shows. Raises DriftError for another run's of our name."""
        return self.journal.listed("instance", lambda: self.deployment.only_ours(self.cloud.instances(self._by_name)))

    @property
    def _by_name(self) -> dict[str, str]:
        return {TAG_NAME: self.deployment.name}

    def delete(self, kind: Kind) -> None:
        """Delete every resource of a kind that carries our tags, and what was made and does not show yet."""
        listed = self.cloud.find(kind, self.deployment.own_tags)
        listed_ids = {resource.id for resource in listed}
        unlisted = [id_ for id_ in self.journal.made(kind) if id_ not in listed_ids]
        ids = [*(resource.id for resource in listed), *unlisted]
        if ids:
            self.progress(f"deleting {', '.join(ids)}")
            answered = self.cloud.delete(kind, ids)
            # What was made and did not show is there for certain only when the service says that it has deleted it.
            self.journal.deleted(kind, [*listed, *(Resource(kind, id_, "") for id_ in unlisted if id_ in answered)])
