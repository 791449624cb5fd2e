"""Steps that do nothing but tell: what was asked of them, in which order, and what the test wants them to answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from provisioner.step import Description, Finding, Presence, Step


class World:
    """What exists, and everything that was done to it.

    `log` holds ("check" | "apply" | "undo", step name) in the order of their beginnings.
    """

    def __init__(self, *present: str) -> None:
        self.present = set(present)
        self.log: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def told(self, what: str) -> list[str]:
        """The names of the steps to which `what` was done."""
        with self.lock:
            return [name for done, name in self.log if done == what]


class FakeStep(Step):
    """A step that tells.

    Args:
        world: where its effect goes.
        finding: what `check` answers, in place of looking.
        on_check, on_apply, on_undo: called first; may raise, wait, or change the world. `on_apply` that returns True
            takes the place of the effect.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        host: str | None = None,
        undone: bool = True,
        finding: Finding | None = None,
        on_check: Callable[[], Any] = lambda: None,
        on_apply: Callable[[], Any] = lambda: None,
        on_undo: Callable[[], Any] = lambda: None,
    ) -> None:
        self.world = world
        self.name = name
        self.host = host
        self.undone = undone
        self._finding = finding
        self._on_check = on_check
        self._on_apply = on_apply
        self._on_undo = on_undo

    def describe(self) -> Description:
        return Description(f"Do {self.name}")

    def check(self) -> Finding:
        self._note("check")
        self._on_check()
        if self._finding is not None:
            return self._finding
        return Finding(Presence.PRESENT if self.name in self.world.present else Presence.ABSENT)

    def apply(self) -> None:
        self._note("apply")
        if not self._on_apply():
            self.world.present.add(self.name)

    def undo(self) -> None:
        self._note("undo")
        if not self._on_undo():
            self.world.present.discard(self.name)

    def _note(self, what: str) -> None:
        with self.world.lock:
            self.world.log.append((what, self.name))


def each_time(*actions: Callable[[], Any] | BaseException | Any) -> Callable[[], Any]:
    """A callback that does one thing after the other: raises an exception, calls a function, else returns the value.
    When it runs out it does nothing."""
    left = list(actions)

    def act() -> Any:
        action = left.pop(0) if left else None
        if isinstance(action, BaseException):
            raise action
        return action() if callable(action) else action

    return act
