"""Somebody else's training code (`workload.source`): where it lies, and what its output says (the paper's 3.6 and 3.7).

It prints no JSON lines; what it measures is what BigDL logs for each iteration, and that becomes the same events.
"""

from __future__ import annotations

import math
import re
from typing import Any

from provisioner import catalog
from provisioner.deployment.host import Host
from provisioner.errors import HostError
from provisioner.forms import repository_name
from provisioner.hosts import topology
from provisioner.hosts.facts import HostFacts
from provisioner.inventory.spec import Dtype, WorkloadSpec

INTERVAL_ITERATIONS = 5
"""Iterations between two intervals, as of the bundled workload."""

_ITERATION = re.compile(
    r"\[Iteration (\d+)\].*Trained (\S+) records in (\S+) seconds\. "
    r"Throughput is (\S+) records/second\. Loss is (\S+)\."
)


def sample_root(first: Host) -> str:
    """Where the clone goes: beside the rest, under the repository's own name."""
    source = first.spec.workload.source
    name = repository_name(source.git) if source else ""
    return f"{first.work_folder.rpartition('/')[0]}/{name}"


class SampleLog:
    """BigDL's lines of one run in, the workload's events out.

    Throughput is records over seconds of the iterations after `workload.warmup_steps`, as BigDL counts both.
    """

    def __init__(self, work: WorkloadSpec, dtype: Dtype, workers: int, facts: HostFacts) -> None:
        self._work = work
        self._dtype = dtype
        self._workers = workers
        self._facts = facts
        self._iterations = 0
        self._loss: float | None = None
        self._interval = _Sum()
        self._timed = _Sum()

    def event(self, text: str) -> dict[str, Any] | None:
        """The interval that this line ends, if it does."""
        iteration = _ITERATION.search(text)
        if not iteration:
            return None
        self._iterations = int(iteration[1])
        records, seconds, loss = (float(iteration[group]) for group in (2, 3, 5))
        self._loss = loss if math.isfinite(loss) else None
        self._interval.add(records, seconds)
        if self._iterations > self._work.warmup_steps:
            self._timed.add(records, seconds)
        if self._iterations % INTERVAL_ITERATIONS:
            return None
        ended, self._interval = self._interval, _Sum()
        return {
            "event": "interval",
            "step": self._iterations,
            "loss": self._loss,
            "images_per_second": ended.per_second,
        }

    def summary(self) -> dict[str, Any]:
        """The run's summary. Raises HostError when no iteration was timed."""
        source = self._work.source
        if not self._timed.seconds:
            raise HostError(
                f"the sample logged {self._iterations} iterations, and the first {self._work.warmup_steps} are warm-up",
                "lower workload.warmup_steps, or have it train longer (workload.epochs)",
            )
        return {
            "event": "summary",
            "model": self._work.model,
            "mode": self._work.mode,
            "dtype": self._dtype,
            "engine": self._work.engine,
            "workers": self._workers,
            "batch_size": self._work.batch_size,
            "steps": self._iterations,
            "warmup_steps": self._work.warmup_steps,
            "images_per_second": self._timed.per_second,
            "final_loss": self._loss,
            "host": {
                "cpu": self._facts.cpu_model,
                "isa": catalog.isa_of(self._facts.cpu_flags),
                "cores": topology.physical_cores(self._facts.cpus),
            },
            "versions": {repository_name(source.git): source.ref} if source else {},
        }


class _Sum:
    """Records and seconds."""

    def __init__(self) -> None:
        self.records = 0.0
        self.seconds = 0.0

    def add(self, records: float, seconds: float) -> None:
        self.records += records
        self.seconds += seconds

    @property
    def per_second(self) -> float | None:
        return round(self.records / self.seconds, 3) if self.seconds else None
