"""One measurement: what a run of the workload gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PERCENTILES = ("p50", "p90", "p99")
"""Of the latency of inference."""


@dataclass(frozen=True)
class Measurement:
    """The summary of one run of the workload (the paper's table is two of them).

    `images_per_second` counts all workers, after warm-up, all-reduce included; `batch_size` is per worker;
    `memory_mib` is the largest worker's peak; `latency_ms` (of inference) has p50, p90 and p99 at batch size 1.
    `run` names it within its deployment, `environment` is what else it depended on, the curves are what it printed.
    """

    model: str
    mode: str
    dtype: str
    engine: str
    workers: int
    batch_size: int
    images_per_second: float
    steps: int
    final_loss: float | None
    host: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    memory_mib: float | None = None
    latency_ms: Mapping[str, float] | None = None
    run: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    intervals: tuple[Mapping[str, Any], ...] = ()
    evaluations: tuple[Mapping[str, Any], ...] = ()
