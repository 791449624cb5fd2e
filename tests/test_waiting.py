"""The one loop that waits: looks at once, grows its pauses, looks a last time after the deadline."""

from __future__ import annotations

import pytest

from provisioner.waiting import wait_until
from tests.support.clock import FakeClock


def test_what_is_done_already_is_not_waited_for() -> None:
    clock = FakeClock()
    assert wait_until(clock, lambda: "there", lambda seen: seen == "there", deadline_s=10) == "there"
    assert clock.slept == []


def test_pauses_grow_to_the_longest_and_what_is_seen_between_is_told() -> None:
    clock, told, looks = FakeClock(), [], iter(range(6))
    seen = wait_until(
        clock,
        lambda: next(looks),
        lambda number: number == 5,
        deadline_s=100,
        pause_s=1,
        longest_pause_s=3,
        meanwhile=told.append,
    )
    assert seen == 5
    assert told == [0, 1, 2, 3, 4]
    assert clock.slept == pytest.approx([1, 1.5, 2.25, 3, 3])


def test_after_the_deadline_it_looks_once_more_and_gives_what_it_saw() -> None:
    """Something that came true during the last pause is not missed."""
    clock = FakeClock()
    seen = wait_until(
        clock, clock.monotonic, lambda now: now > 2.5, deadline_s=3, pause_s=2, longest_pause_s=2, meanwhile=print
    )
    assert seen == 4
    assert wait_until(clock, lambda: "not yet", lambda seen: False, deadline_s=3) == "not yet"


def test_pauses_can_be_varied() -> None:
    clock = FakeClock()
    wait_until(
        clock, clock.monotonic, lambda now: now > 0, deadline_s=9, pause_s=1, vary=lambda pause_s: 1.25 * pause_s
    )
    assert clock.slept == [1.25]
