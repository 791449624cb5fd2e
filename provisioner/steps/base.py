"""What steps on hosts have in common."""

from __future__ import annotations

from contextlib import AbstractContextManager

from provisioner.deployment.host import Host
from provisioner.inventory.spec import Spec
from provisioner.step import Step


class HostStep(Step):
    """A step on one host; it touches nothing but that host. `part` is the name of what it is about."""

    part = ""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.host: str | None = host.name
        self.name = f"{self.part}/{host.name}"

    def recorded(self, title: str) -> AbstractContextManager[None]:
        """As Step.recorded: in the host's log."""
        return self._host.recorded(title)

    @property
    def _spec(self) -> Spec:
        return self._host.spec
