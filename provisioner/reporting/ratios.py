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
    found = {}
    for (_, mode), legs in latest(measurements).items():
        slow, fast = legs.get("float32"), legs.get("bfloat16")
        if slow and fast and slow.images_per_second > 0:
            found[mode] = fast.images_per_second / slow.images_per_second
    return found


def ratios(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """For each model and mode: bfloat16 over float32 (null without both), and beside it what the paper says."""
    found = []
    for (model, mode), legs in latest(measurements).items():
        known = paper.figures(model, mode)
        said = {
            "measured": float(known.measured[2]) if known.measured else None,
            "quoted_up_to": known.quoted,
            "quoted_is": paper.QUOTED_IS,
        } if known else None  # fmt: skip
        found.append({"model": model, "mode": mode, "speedup": speedups(legs.values()).get(mode), "paper": said})
    return found


def missing(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """The bf16 instructions that a host's kernel did not show though its processor has them, each system once."""
    found = []
    for one in measurements:
        for host in one.environment.get("hosts") or ():
            if host.get("bf16_missing"):
                where = {
                    "flags": list(host["bf16_missing"]),
                    "system": str(host.get("distribution") or ""),
                    "kernel": str(host.get("kernel") or ""),
                }
                if where not in found:
                    found.append(where)
    return found
