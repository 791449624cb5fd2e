"""The time of this machine."""

from __future__ import annotations

import time
from datetime import datetime, timezone


class SystemClock:
    """Implements ports.Clock."""

    def now(self) -> datetime:
        """The time of day, UTC, with its zone."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; what is not positive returns at once."""
        time.sleep(max(0.0, seconds))
