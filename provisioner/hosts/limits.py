"""How much of a host a login may use: CPU time, memory and processes, as control groups and the kernel limit them.

The text of the script that asks, and the pure parser of what it prints. Both versions of control groups are read, each
group from the login's own up to the outermost: the narrowest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

_GIB = 1024**3
_NO_LIMIT_BYTES = 1 << 62  # version 1 writes a number near 2^63 where it means none

LIMITS_SCRIPT = r"""
grep '^Max processes' /proc/self/limits 2>/dev/null
while IFS=: read -r _ kinds path; do
  case ,$kinds, in
    ,,) base=/sys/fs/cgroup; [ -e $base/cgroup.controllers ] || base=$base/unified ;;
    *,cpu,* | *,memory,* | *,pids,*) base=/sys/fs/cgroup/$kinds ;;
    *) continue ;;
  esac
  while :; do
    grep -H . "$base$path/cpu.max" "$base$path/memory.max" "$base$path/pids.max" "$base$path/cpu.cfs_quota_us" \
      "$base$path/cpu.cfs_period_us" "$base$path/memory.limit_in_bytes" 2>/dev/null
    case $path in /*) path=${path%/*} ;; *) break ;; esac
  done
done 2>/dev/null </proc/self/cgroup
""".strip()
"""POSIX sh; a process for each control group that the login is in; needs no root."""


@dataclass(frozen=True)
class Limits:
    """What a login may use of its host; None where nothing limits it.

    Attributes:
        cpus: CPUs' worth of time, which may be a fraction.
        memory_gib: of its processes together.
        processes: at most at a time, threads counted.
    """

    cpus: float | None = None
    memory_gib: float | None = None
    processes: int | None = None

    def told(self) -> dict[str, Any]:
        """Those that there are, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


NO_LIMITS = Limits()


def parse_limits(lines: Iterable[str], *, of_root: bool = False) -> Limits:
    """What `LIMITS_SCRIPT` printed. Root is under no limit of processes but that of control groups."""
    groups: dict[str, dict[str, str]] = {}
    processes: list[int] = []
    for line in lines:
        if line.startswith("Max processes"):
            soft = line[len("Max processes") :].split()[0]
            processes += [int(soft)] if soft.isdigit() and not of_root else []
            continue
        path, _, value = line.partition(":")
        folder, _, name = path.rpartition("/")
        groups.setdefault(folder, {})[name] = value.strip()
    files = list(groups.values())
    memory = [_number(group.get(name)) for group in files for name in ("memory.max", "memory.limit_in_bytes")]
    processes += [limit for group in files if (limit := _number(group.get("pids.max"))) is not None]
    return Limits(
        cpus=min((cpus for group in files for cpus in _quotas(group)), default=None),
        memory_gib=min(
            (round(limit / _GIB, 2) for limit in memory if limit is not None and limit < _NO_LIMIT_BYTES), default=None
        ),
        processes=min(processes, default=None),
    )


def _quotas(group: dict[str, str]) -> Iterator[float]:
    """CPUs' worth of time that a group may use, in either version's files."""
    quota, _, period = group.get("cpu.max", "").partition(" ")
    for used, of in ((quota, period), (group.get("cpu.cfs_quota_us"), group.get("cpu.cfs_period_us"))):
        share, whole = _number(used), _number(of)
        if share and whole:
            yield round(share / whole, 2)


def _number(text: str | None) -> int | None:
    """None for `max` and -1, which both mean that there is no limit."""
    return int(text) if text and text.isdigit() else None
