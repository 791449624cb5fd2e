"""CPU topology to worker sets to environment (the paper's step 3: one Spark worker per `numactl -C` range).

The rules, for any machine:

- A worker gets whole cores, the threads of a core together, all on one NUMA node.
- Every NUMA node gets a worker while there are enough; each further worker goes where it finds the most cores.
- The cores of a node are shared out evenly and in order; what is left over goes to its first workers.
- With fewer workers than nodes, whole nodes stay idle, since a worker never spans nodes; `warnings` says so.
- `auto` leaves a node idle whose workers have less than half the cores of others, where all are faster without them:
  the smallest worker sets the pace.
- A quota of CPU time leaves as many cores as it pays for, the first ones; more only where more workers are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from provisioner.errors import UsageError
from provisioner.hosts.facts import Cpu

CORES_PER_WORKER = 6
"""The paper's worker: 12 vCPUs are 6 cores, and OMP_NUM_THREADS is 6."""


@dataclass(frozen=True)
class WorkerSet:
    """The CPUs of one worker, in ascending order, all on NUMA node `node`."""

    cpus: tuple[int, ...]
    node: int
    physical_cores: int

    @property
    def numactl(self) -> str:
        """The CPUs as `numactl -C` takes them: `0-11`, `0-5,48-53`."""
        ranges: list[list[int]] = []
        for cpu in self.cpus:
            if ranges and cpu == ranges[-1][1] + 1:
                ranges[-1][1] = cpu
            else:
                ranges.append([cpu, cpu])
        return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)


@dataclass(frozen=True)
class Room:
    """What a host's limits leave: `cores` of CPU time, and how many `workers` `auto` may start; None for no limit."""

    cores: int | None = None
    workers: int | None = None


NO_LIMIT = Room()


def physical_cores(cpus: Iterable[Cpu]) -> int:
    """How many cores these CPUs are, threads of one counted once. A core's number is its own within a socket only."""
    return len({(cpu.socket, cpu.core) for cpu in cpus})


def worker_sets(cpus: Sequence[Cpu], workers: int | Literal["auto"], room: Room = NO_LIMIT) -> list[WorkerSet]:
    """Divide a host's CPUs among its workers, in the order of nodes and CPU numbers.

    Raises UsageError when there are more workers than cores, or no CPUs.
    """
    total = physical_cores(cpus)
    if not total:
        raise UsageError("no CPU is known to divide among workers")
    if workers == "auto":
        return _auto_sets(_first_cores(cpus, room.cores or total), room)
    if not 1 <= workers <= total:
        raise UsageError(
            f"{workers} workers cannot each have a whole core: the host has {total} cores ({len(cpus)} CPUs)",
            f"ask for 1 to {total} workers" if total > 1 else "ask for 1 worker",
        )
    return _divided(_first_cores(cpus, max(room.cores or total, workers)), workers)


def _auto_sets(cpus: Sequence[Cpu], room: Room) -> list[WorkerSet]:
    sets = _divided(cpus, min(auto_workers(cpus), room.workers or len(cpus)))
    largest = max(worker.physical_cores for worker in sets)
    slow = {worker.node for worker in sets if 2 * worker.physical_cores < largest}
    if not slow:
        return sets
    without = _auto_sets([cpu for cpu in cpus if cpu.node not in slow], room)
    return max(sets, without, key=_pace)


def _pace(sets: Sequence[WorkerSet]) -> int:
    """How much they get done together: all wait for the smallest after each step."""
    return len(sets) * min(worker.physical_cores for worker in sets)


def _first_cores(cpus: Sequence[Cpu], number: int) -> list[Cpu]:
    """The CPUs of so many cores, node by node."""
    cores = sorted({(cpu.node, cpu.socket, cpu.core) for cpu in cpus})
    kept = set(cores[:number])
    return [cpu for cpu in cpus if (cpu.node, cpu.socket, cpu.core) in kept]


def _divided(cpus: Sequence[Cpu], workers: int) -> list[WorkerSet]:
    """As many workers as there are to be, given that there are enough cores."""
    nodes = _cores_by_node(cpus)
    sets = []
    for node, share in _share_out({node: len(cores) for node, cores in nodes.items()}, workers).items():
        cores = nodes[node]
        each, left_over = divmod(len(cores), share) if share else (0, 0)
        begin = 0
        for worker in range(share):
            end = begin + each + (worker < left_over)
            numbers = sorted(number for core in cores[begin:end] for number in core)
            sets.append(WorkerSet(tuple(numbers), node, end - begin))
            begin = end
    return sets


def auto_workers(cpus: Sequence[Cpu]) -> int:
    """How many workers suit a host: one per 6 cores as in the paper, and at least one per NUMA node.

    Below 12 cores one worker per core, up to 2: two one-core workers outran one process of two threads.
    """
    total = physical_cores(cpus)
    workers = total // CORES_PER_WORKER if total >= 2 * CORES_PER_WORKER else min(total, 2)
    return max(workers, len({cpu.node for cpu in cpus}))


def warnings(cpus: Sequence[Cpu], sets: Sequence[WorkerSet], room: Room = NO_LIMIT) -> list[str]:
    """What a person should know of a division: idle cores, and workers of different size."""
    sentences = []
    total = physical_cores(cpus)
    idle = min(total, room.cores or total) - sum(worker.physical_cores for worker in sets)
    if idle > 0:
        sentences.append(f"{idle} of {total} cores stay idle: a worker does not span NUMA nodes; more workers use them")
    sizes = sorted({worker.physical_cores for worker in sets})
    if len(sizes) > 1:
        sentences.append(f"workers have from {sizes[0]} to {sizes[-1]} cores: the smallest sets the pace of training")
    return sentences


def _cores_by_node(cpus: Sequence[Cpu]) -> dict[int, list[tuple[int, ...]]]:
    """NUMA node to its cores, each the numbers of its CPUs, in ascending order of their first CPU.

    A core's number is its own within a socket only, so sockets tell cores apart.
    """
    threads: dict[tuple[int, int, int], list[int]] = {}
    for cpu in cpus:
        threads.setdefault((cpu.node, cpu.socket, cpu.core), []).append(cpu.number)
    nodes: dict[int, list[tuple[int, ...]]] = {node: [] for node in sorted({cpu.node for cpu in cpus})}
    for (node, _, _), numbers in threads.items():
        nodes[node].append(tuple(sorted(numbers)))
    return {node: sorted(cores) for node, cores in nodes.items()}


def _share_out(cores: dict[int, int], workers: int) -> dict[int, int]:
    """NUMA node to its number of workers, never more than it has cores (given that all together have enough)."""
    shares = dict.fromkeys(cores, 1 if workers >= len(cores) else 0)
    for _ in range(workers - sum(shares.values())):
        roomiest = max(cores, key=lambda node: (cores[node] / (shares[node] + 1), -node))
        shares[roomiest] += 1
    return shares
