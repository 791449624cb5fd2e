"""CPU flags that matter to bfloat16, named as in /proc/cpuinfo. The list is the workload's, read as data."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache

from provisioner.render import data_folder


def bf16_of(flags: Collection[str]) -> list[str]:
    """Those of a processor's flags that are bfloat16 instructions, in the list's order."""
    bf16, _ = _lists()
    return [flag for flag in bf16 if flag in flags]


def isa_of(flags: Collection[str]) -> list[str]:
    """Those of a processor's flags that the workload names in its `host.isa`."""
    bf16, beside = _lists()
    return [flag for flag in (*beside, *bf16) if flag in flags]


@cache
def _lists() -> tuple[tuple[str, ...], tuple[str, ...]]:
    lists = json.loads((data_folder("workload") / "isa.json").read_text(encoding="utf-8"))
    return tuple(lists["bf16"]), tuple(lists["beside"])
