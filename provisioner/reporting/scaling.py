"""How throughput grows with the number of workers: a table where one setting was measured with several numbers.

Text in, text out, beside `report`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from provisioner.reporting.measurement import Measurement


class Setting(NamedTuple):
    """What has to be alike for two measurements to differ by their workers alone."""

    model: str
    mode: str
    dtype: str
    engine: str
    batch_size: int


class Point(NamedTuple):
    """One number of workers: `efficiency` is the rate of each worker, as a fraction of that with the fewest."""

    workers: int
    images_per_second: float
    efficiency: float


def scaling(measurements: Iterable[Measurement]) -> dict[Setting, list[Point]]:
    """The latest measurement of each number of workers, fewest first; only settings that have two numbers or more."""
    rates: dict[Setting, dict[int, float]] = {}
    for one in measurements:
        setting = Setting(one.model, one.mode, one.dtype, one.engine, one.batch_size)
        rates.setdefault(setting, {})[one.workers] = one.images_per_second
    return {
        setting: _points(by_workers)
        for setting, by_workers in rates.items()
        if len(by_workers) > 1 and min(by_workers.values()) > 0
    }


def _points(rates: dict[int, float]) -> list[Point]:
    fewest = min(rates)
    each = rates[fewest] / fewest
    return [Point(workers, rate, rate / workers / each) for workers, rate in sorted(rates.items())]
