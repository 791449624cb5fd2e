"""The same work for many, side by side: the one place that says how many at once, and what Ctrl-C does to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_AT_ONCE = 100
ENDING_S = 5.0
"""How long Ctrl-C waits for the threads, which `on_interrupt` has told to end."""


def fan_out(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    at_once: int = MOST_AT_ONCE,
    on_interrupt: Callable[[], object] = lambda: None,
) -> list[Result]:
    """`work` for each item, in threads; the results in the items' order. All have ended when this returns or raises.

    The first failure, in the items' order, is raised once everything has ended. Ctrl-C is raised sooner: nothing new is
    begun, and `on_interrupt` makes what is under way end (by cutting its connections). A thread that hangs all the same
    does not hold the program up: they are daemons, and are waited for `ENDING_S` seconds.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    ended: SimpleQueue[None] = SimpleQueue()
    results: dict[int, Result] = {}
    failures: dict[int, BaseException] = {}
    interrupted = threading.Event()

    def serve() -> None:
        with suppress(Empty):
            while not interrupted.is_set():
                number = waiting.get_nowait()
                try:
                    results[number] = work(items[number])
                except BaseException as failure:  # raised in the caller's thread
                    failures[number] = failure
                ended.put(None)

    for number in range(len(items)):
        waiting.put(number)
    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(len(items), at_once))]
    try:
        for thread in threads:
            thread.start()
        for _ in items:
            while True:
                with suppress(Empty):
                    ended.get(timeout=0.5)  # now and then awake, which lets Ctrl-C in
                    break
    except KeyboardInterrupt:
        interrupted.set()
        on_interrupt()
        deadline = time.monotonic() + ENDING_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        raise
    for number in sorted(failures):
        raise failures[number]
    return [results[number] for number in range(len(items))]
