"""What a host has room for: its limits, and what Spark's workers need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioner.hosts.facts import HostFacts
from provisioner.hosts.limits import Limits
from provisioner.hosts.topology import Room, WorkerSet, physical_cores

_JVM_GIB = 0.25
"""What a Java process takes beside its heap."""

_PYTHON_GIB = 1.0
"""The least that TensorFlow and a small model take in a worker."""

_THREADS = 150
"""Processes and threads of a worker: its Java process, its executor's, Python's, and TensorFlow's."""


@dataclass(frozen=True)
class Needs:
    """What the workers of a host, and the driver beside them, are set to take: heaps in GiB."""

    executor_gib: float
    driver_gib: float

    def memory_gib(self, workers: int) -> float:
        """So many workers, and the driver."""
        return workers * self._worker_gib + self.driver_gib + _JVM_GIB

    def workers_within(self, memory_gib: float) -> int:
        """How many workers fit; one is always tried."""
        return max(1, int((memory_gib - self.driver_gib - _JVM_GIB) / self._worker_gib))

    @property
    def _worker_gib(self) -> float:
        return self.executor_gib + 2 * _JVM_GIB + _PYTHON_GIB


def heap_gib(memory: str) -> float:
    """Spark's `512m` or `18g`, in GiB."""
    return int(memory[:-1]) / (1 if memory.endswith("g") else 1024)


def room(limits: Limits, facts: HostFacts, needs: Needs) -> Room:
    """What `auto` may use of a host."""
    fitting = []
    memory_gib = _memory_gib(limits, facts)
    if memory_gib:
        fitting.append(needs.workers_within(memory_gib))
    if limits.processes:
        fitting.append(max(1, limits.processes // _THREADS - 1))
    return Room(
        cores=None if limits.cpus is None else max(1, int(limits.cpus)), workers=min(fitting) if fitting else None
    )


def warnings(limits: Limits, facts: HostFacts, needs: Needs, sets: Sequence[WorkerSet]) -> Iterator[str]:
    """What a person should know of a host's limits."""
    cores, used = physical_cores(facts.cpus), sum(worker.physical_cores for worker in sets)
    workers = f"{len(sets)} workers" if len(sets) != 1 else "1 worker"
    if limits.cpus is not None and limits.cpus < len(facts.cpus):
        quota = f"a CPU quota of {limits.cpus:g} is all that the login has of {len(facts.cpus)} CPUs"
        if limits.cpus < used:
            yield f"{quota}: {workers} on {used} cores share it and are throttled; fewer workers, or a larger quota"
        elif used < cores:
            yield f"{quota}: {workers} on {used} of {cores} cores"
    memory_gib = _memory_gib(limits, facts)
    if memory_gib and needs.memory_gib(len(sets)) > memory_gib:
        limited = "the login may use" if limits.memory_gib == memory_gib else "it has"
        yield (
            f"{workers} and the driver need about {needs.memory_gib(len(sets)):.1f} GiB of memory, and {limited} "
            f"{memory_gib:g}: lower spark.workers or spark.executor_memory"
        )
    if limits.processes and _THREADS * (len(sets) + 1) > limits.processes:
        yield (
            f"{workers} start about {_THREADS * (len(sets) + 1)} processes and threads, and the login may have "
            f"{limits.processes} (ulimit -u, or pids.max of its control group): raise that, or lower spark.workers"
        )


def _memory_gib(limits: Limits, facts: HostFacts) -> float:
    """What there is, and may be used; 0 where that is not known."""
    return min(filter(None, (limits.memory_gib, facts.memory_gib)), default=0)
