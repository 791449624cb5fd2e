"""A clock that a test moves: nothing waits, and everything that would have waited is on record."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone


class FakeClock:
    """Implements ports.Clock. `sleep` moves the time at once, then calls `on_sleep` with the seconds.

    A test that waits for the outside puts it into `on_sleep`: the server that appears during the third wait.
    """

    def __init__(
        self,
        start: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc),
        on_sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._start = start
        self._elapsed = 0.0
        self._lock = threading.Lock()
        self.on_sleep = on_sleep
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody waiting."""
        with self._lock:
            self._elapsed += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        if self.on_sleep is not None:
            self.on_sleep(seconds)
