"""What a step is, and what a plan is: the one description that plan, up, resume and down share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from provisioner.hosts.address import HostAddress
from provisioner.resources import Kind


class Presence(Enum):
    """What a look at the world said."""

    ABSENT = "absent"
    PRESENT = "present"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Observed:
    """What a look at the cloud saw: the ids of all that there is of a kind, by the key of their creation (`Journal`).

    `hosts` says where the instances are, when that is known.
    """

    kind: Kind
    ids: Mapping[str, tuple[str, ...]]
    hosts: tuple[HostAddress, ...] | None = None


@dataclass(frozen=True)
class Finding:
    """The result of `check()`. `detail` says what was seen: for a drifted step, the difference.

    A check writes nothing: what is worth keeping of what it saw is `observed`, and the runner keeps it.
    """

    presence: Presence
    detail: str = ""
    observed: Observed | None = field(default=None, compare=False)


ABSENT = Finding(Presence.ABSENT)
PRESENT = Finding(Presence.PRESENT)


@dataclass(frozen=True)
class RenderedFile:
    """A file as it is, or will be, on a host (or in its container)."""

    host: str
    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True)
class PlannedResource:
    """A thing that will exist in the cloud. `attributes` are shown in the plan."""

    kind: str
    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """What a step will do, known before anything exists."""

    title: str
    resources: tuple[PlannedResource, ...] = ()
    files: tuple[RenderedFile, ...] = ()
    warnings: tuple[str, ...] = ()


class Step(ABC):
    """One thing that is there or not: how to tell, how to make it, how to unmake it.

    Attributes:
        name: unique in a plan.
        host: the name of the host that it is on; None for what belongs to the whole deployment.
        undone: whether `down` undoes it. Whatever is on an instance of ours dies with that, and packages stay on a
            host that is not ours: neither is undone.
    """

    name: str
    host: str | None = None
    undone: bool = False

    @abstractmethod
    def describe(self) -> Description:
        """Pure: no I/O, the same answer for the same inventory."""

    @abstractmethod
    def check(self) -> Finding:
        """Look, change nothing. An error of the outside is raised, never turned into absent."""

    def apply(self) -> None:  # noqa: B027
        """Make it so. Called only when `check` said absent; must bear being cut off at any point and called again.

        A step that only looks has nothing to do here: its `check` says present or raises.
        """

    def undo(self) -> None:  # noqa: B027
        """Take it away; gone already is fine. Called only for a step that is `undone`."""

    def recorded(self, title: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Meanwhile, what `apply` or `undo` prints on a host goes into that host's log, under a title."""
        return nullcontext()


@dataclass(frozen=True)
class Phase:
    """Steps between two barriers: those of one host run in order, hosts side by side, hostless ones first."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """Everything to be done, in order. The plan that is shown is the one that is applied."""

    name: str
    phases: tuple[Phase, ...]

    def steps(self) -> list[tuple[str, Step]]:
        """Each step with the name of its phase, in order."""
        return [(phase.name, step) for phase in self.phases for step in phase.steps]
