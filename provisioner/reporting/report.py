"""A deployment's measurements, and the paper's table of them, in words; `formats/` writes it down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner import catalog
from provisioner.render import counted
from provisioner.reporting import paper
from provisioner.reporting.measurement import PERCENTILES, Measurement
from provisioner.reporting.ratios import latest, missing, speedups
from provisioner.reporting.scaling import Point, Setting, scaling

_LABELS = {"float32": "FP32", "bfloat16": "Bfloat16"}
_MODES = {"train": "training", "infer": "inference"}


@dataclass(frozen=True)
class Report:
    """A deployment's measurements, oldest first, on what they were taken (`host`: cpu, isa, cores) and with what."""

    name: str
    measurements: tuple[Measurement, ...]
    host: Mapping[str, Any]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The paper's table for one model and mode; `conditions` are sentences without an end mark."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    conditions: tuple[str, ...]


def build(
    name: str,
    measurements: Sequence[Measurement],
    host: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Report:
    """A report; host and versions come from the measurements, the latest winning, unless they are given."""
    last_host: Mapping[str, Any] = {}
    all_versions: dict[str, str] = {}
    for one in measurements:
        last_host = one.host or last_host
        all_versions.update(one.versions)
    return Report(
        name,
        tuple(measurements),
        dict(last_host if host is None else host),
        dict(sorted((all_versions if versions is None else versions).items())),
    )


def tables(report: Report) -> list[Table]:
    """The paper's table, once for each model and mode that was measured; then how rates grow with workers, if known."""
    dtype_tables = []
    for (model, mode), legs in latest(report.measurements).items():
        title = heading(model, mode)
        cells = [_speed(legs.get(dtype)) for dtype in _LABELS]
        ratio = speedups(legs.values()).get(mode)
        rows = [(f"Throughput ({unit(model)})", *cells, "needs both" if ratio is None else f"{ratio:.3f}")]
        rows += _latency(legs)
        conditions = list(_conditions(report, legs))
        figures = paper.figures(model, mode)
        if figures:
            rows += paper.rows(figures)
            conditions += paper.conditions(figures)
        header = (title, *_LABELS.values(), "Performance improvement by using bfloat16")
        dtype_tables.append(Table(header, tuple(rows), tuple(conditions)))
    return dtype_tables + [_scaling_table(setting, points) for setting, points in scaling(report.measurements).items()]


def _scaling_table(setting: Setting, points: Sequence[Point]) -> Table:
    rows = [
        (counted(point.workers, "worker"), f"{point.images_per_second:.3f}", f"{point.efficiency:.1%}")
        for point in points
    ]
    title = f"{heading(setting.model, setting.mode)}, {_LABELS.get(setting.dtype, setting.dtype)}"
    header = (title, f"Throughput ({unit(setting.model)})", "Efficiency")
    return Table(header, tuple(rows), (f"Engine {setting.engine}, batch size {setting.batch_size} per worker",))


def heading(model: str, mode: str) -> str:
    """A model and a mode in words."""
    return f"{name_of(model)} model {_MODES.get(mode, mode)}"


def name_of(model: str) -> str:
    """A model as people write it."""
    facts = catalog.models().get(model)
    return facts.title if facts else model


def unit(model: str) -> str:
    """What `images_per_second` counts with that model."""
    facts = catalog.models().get(model)
    return f"{facts.unit if facts else 'images'}/second"


def _speed(leg: Measurement | None) -> str:
    return "not measured" if leg is None else f"{leg.images_per_second:.3f}"


def _latency(legs: Mapping[str, Measurement]) -> Iterable[tuple[str, ...]]:
    """A row of the percentiles where there are any; its improvement is that of the median."""
    latencies = {dtype: leg.latency_ms for dtype, leg in legs.items() if leg.latency_ms}
    if not latencies:
        return
    cells = [
        " / ".join(f"{latencies[dtype][name]:.1f}" for name in PERCENTILES) if dtype in latencies else "not measured"
        for dtype in _LABELS
    ]
    medians = [latencies[dtype]["p50"] for dtype in _LABELS if dtype in latencies]
    ratio = f"{medians[0] / medians[1]:.3f} (p50)" if len(medians) == 2 and medians[1] > 0 else "needs both"
    yield (f"Latency at batch size 1, {' / '.join(PERCENTILES)} (ms)", *cells, ratio)


def _conditions(report: Report, legs: Mapping[str, Measurement]) -> Iterable[str]:
    methods = {_LABELS.get(dtype, dtype): _how(leg) for dtype, leg in legs.items()}
    if len(set(methods.values())) == 1:
        yield f"Measured with {next(iter(methods.values()))}"
    else:
        yield "Not measured alike: " + "; ".join(f"{label} with {how}" for label, how in methods.items())
    losses = {_LABELS.get(dtype, dtype): leg.final_loss for dtype, leg in legs.items() if leg.final_loss is not None}
    if losses:
        yield "Final loss: " + ", ".join(f"{loss:.4g} ({label})" for label, loss in losses.items())
    memory = {_LABELS.get(dtype, dtype): leg.memory_mib for dtype, leg in legs.items() if leg.memory_mib is not None}
    if memory:
        yield "Peak memory of a worker: " + ", ".join(f"{mib:.0f} MiB ({label})" for label, mib in memory.items())
    yield from _machine(report)


def _how(leg: Measurement) -> str:
    return (
        f"engine {leg.engine}, {counted(leg.workers, 'worker')}, batch size {leg.batch_size} per worker "
        f"({leg.batch_size * leg.workers} global), {counted(leg.steps, 'step')}"
    )


def _machine(report: Report) -> Iterable[str]:
    host = report.host
    if host.get("cpu"):
        cores = f", {counted(host['cores'], 'core')}" if host.get("cores") else ""
        yield f"CPU: {host['cpu']}{cores}; {_bf16(host.get('isa'))}"
    for system in missing(report.measurements):
        yield (
            f"Measured without {', '.join(system['flags'])}: the processor has it, {system['system']} with kernel "
            f"{system['kernel']} does not show it; a newer kernel does"
        )
    if report.versions:
        yield "Versions: " + ", ".join(f"{name} {version}" for name, version in report.versions.items())


def _bf16(isa: Sequence[str] | None) -> str:
    if isa is None:
        return "bfloat16 instructions: not known"
    return f"bfloat16 instructions: {', '.join(catalog.bf16_of(isa)) or 'none, so bfloat16 is emulated'}"
