"""Waiting for something to become true: the one loop for all that is looked at again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from provisioner.ports import Clock

Seen = TypeVar("Seen")


def wait_until(
    clock: Clock,
    look: Callable[[], Seen],
    is_done: Callable[[Seen], bool],
    *,
    deadline_s: float,
    pause_s: float = 0.1,
    longest_pause_s: float = 2.0,
    vary: Callable[[float], float] = lambda pause_s: pause_s,
    meanwhile: Callable[[Seen], None] = lambda seen: None,
) -> Seen:
    """Look until it is done or the deadline has passed; what the last look saw, which the caller judges.

    The first look is at once, the last one after the deadline. Between two looks `meanwhile` hears what was seen, and
    the pause grows by half from `pause_s` to `longest_pause_s`; `vary` keeps many callers from going in step.
    """
    deadline = clock.monotonic() + deadline_s
    while True:
        late = clock.monotonic() >= deadline
        seen = look()
        if late or is_done(seen):
            return seen
        meanwhile(seen)
        clock.sleep(vary(pause_s))
        pause_s = min(pause_s * 1.5, longest_pause_s)
