"""The same work for many: side by side, in order, and ended whatever happens."""

from __future__ import annotations

import threading

import pytest

from provisioner import fan_out as module
from provisioner.fan_out import fan_out
from tests.support.processes import press_ctrl_c

PATIENCE_S = 20.0


def test_items_are_worked_on_side_by_side_and_the_results_are_in_their_order() -> None:
    """Each waits for all others; the first to end is the last of the items."""
    together = threading.Barrier(3)
    ended = [threading.Event() for _ in range(4)]
    ended[3].set()

    def work(number: int) -> str:
        together.wait(PATIENCE_S)
        assert ended[number + 1].wait(PATIENCE_S)
        ended[number].set()
        return f"result {number}"

    assert fan_out(work, range(3)) == ["result 0", "result 1", "result 2"]


def test_no_items_have_no_results() -> None:
    assert fan_out(str, ()) == []


def test_no_more_than_so_many_at_once() -> None:
    lock, busy, most = threading.Lock(), 0, 0
    pair = threading.Barrier(2)

    def work(_: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        pair.wait(PATIENCE_S)
        with lock:
            busy -= 1

    fan_out(work, range(6), at_once=2)
    assert most == 2


def test_the_first_failure_in_order_is_raised_when_all_have_ended() -> None:
    second_failed = threading.Event()
    ended: list[int] = []

    def work(number: int) -> None:
        if number == 0:
            second_failed.wait(PATIENCE_S)
        ended.append(number)
        if number == 1:
            second_failed.set()
        if number < 2:
            raise ValueError(f"{number} failed")

    with pytest.raises(ValueError, match="0 failed"):
        fan_out(work, range(3))
    assert sorted(ended) == [0, 1, 2]


def test_ctrl_c_begins_nothing_new_and_ends_what_is_under_way() -> None:
    begun: list[int] = []
    cut = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        press_ctrl_c()
        assert cut.wait(PATIENCE_S)

    with pytest.raises(KeyboardInterrupt):
        fan_out(work, range(3), at_once=1, on_interrupt=cut.set)
    assert begun == [0]


def test_ctrl_c_does_not_wait_for_a_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDING_S", 0.01)
    release = threading.Event()

    def work(_: int) -> None:
        press_ctrl_c()
        release.wait(PATIENCE_S)

    try:
        with pytest.raises(KeyboardInterrupt):
            fan_out(work, (1,))
        assert not release.is_set()
    finally:
        release.set()
