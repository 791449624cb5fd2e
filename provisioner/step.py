"""What a step is, and what a plan is: the one description that plan, up, resume and down share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

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


class Step(Protocol):
    """One thing that is there or not: how to tell, how to make it, how to unmake it.

    `name` is unique in a plan. `host` is None for what belongs to the whole deployment. `owner` names what the step's
    effect dies with ("instances": whatever is on a host that we made dies with it); a step without one is undone by
    `down`, in reverse order.
    """

    name: str
    host: str | None
    owner: str | None

    def describe(self) -> Description:
        """Pure: no I/O, the same answer for the same inventory."""
        ...

    def check(self) -> Finding:
        """Look, change nothing. An error of the outside is raised, never turned into absent."""
        ...

    def apply(self) -> None:
        """Make it so. Called only when `check` said absent; must bear being cut off at any point and called again."""
        ...

    def undo(self) -> None:
        """Take it away; gone already is fine. Never called for a step with an owner."""
        ...


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
