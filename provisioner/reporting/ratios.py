"""What measurements say together: the latest of each kind, bfloat16 over float32, and what their hosts lacked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provisioner.reporting import paper
from provisioner.reporting.measurement import Measurement


def latest(measurements: Iterable[Measurement]) -> dict[tuple[str, str], dict[str, Measurement]]:
    """(model, mode) to dtype to its latest measurement."""
    latest: dict[tuple[str, str], dict[str, Measurement]] = {}
    for one in measurements:
        latest.setdefault((one.model, one.mode), {})[one.dtype] = one
    return latest


def speedups(measurements: Iterable[Measurement]) -> dict[str, float]:
    """Mode to bfloat16 over float32 throughput, of the latest measurement of each; only modes that have both."""
    by_mode = {}
    for (_, mode), legs in latest(measurements).items():
        slow, fast = legs.get("float32"), legs.get("bfloat16")
        if slow and fast and slow.images_per_second > 0:
            by_mode[mode] = fast.images_per_second / slow.images_per_second
    return by_mode


def ratios(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """For each model and mode: bfloat16 over float32 (null without both), and beside it what the paper says."""
    rows = []
    for (model, mode), legs in latest(measurements).items():
        figures = paper.figures(model, mode)
        in_paper = {
            "measured": float(figures.measured[2]) if figures.measured else None,
            "quoted_up_to": figures.quoted,
            "quoted_is": paper.QUOTED_IS,
        } if figures else None  # fmt: skip
        rows.append({"model": model, "mode": mode, "speedup": speedups(legs.values()).get(mode), "paper": in_paper})
    return rows


def missing(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """The bf16 instructions that a host's kernel did not show though its processor has them, each system once."""
    systems = []
    for one in measurements:
        for host in one.environment.get("hosts") or ():
            if host.get("bf16_missing"):
                system = {
                    "flags": list(host["bf16_missing"]),
                    "system": str(host.get("distribution") or ""),
                    "kernel": str(host.get("kernel") or ""),
                }
                if system not in systems:
                    systems.append(system)
    return systems
