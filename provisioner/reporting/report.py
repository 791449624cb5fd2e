"""Measurements to the paper's table: plain text, JSON, CSV, Markdown, HTML.

Text in, text out: the workload's JSON lines are all that this module knows of it. Every format ends with a newline.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner import catalog
from provisioner.errors import ProvisionerError
from provisioner.render import aligned, counted
from provisioner.reporting import paper
from provisioner.reporting.measurement import Measurement
from provisioner.reporting.scaling import Point, Setting, scaling

EVENTS = frozenset({"start", "interval", "evaluation", "summary", "error"})
PERCENTILES = ("p50", "p90", "p99")
_LABELS = {"float32": "FP32", "bfloat16": "Bfloat16"}
_MODES = {"train": "training", "infer": "inference"}
_RESULT_KEYS = (
    "model", "mode", "dtype", "engine", "workers", "batch_size", "images_per_second", "steps", "final_loss"
)  # fmt: skip
_MORE_KEYS = ("memory_mib", "latency_ms", "run", "environment", "intervals", "evaluations")
_CURVE_KEYS = {
    "interval": ("step", "loss", "images_per_second", "elapsed_s"),
    "evaluation": ("step", "epoch", "top_1", "top_5", "images"),
}
_CSV_KEYS = (
    *_RESULT_KEYS[:6], "global_batch_size", *_RESULT_KEYS[6:], "memory_mib", "cpu", "isa", "cores",
    *(f"latency_{name}_ms" for name in PERCENTILES), "speedup", "paper_measured", "paper_quoted_up_to"
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- reading


def parse_line(line: str) -> dict[str, Any] | None:
    """One line of the workload's output as its event, or None for anything else (logs, other people's JSON).

    The line comes from a host: one whose fields are not of their documented types is no event. null is no value.
    """
    text = line.strip()
    if not text.startswith("{"):
        return None
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return None
    kind = event.get("event")
    if not isinstance(kind, str) or kind not in EVENTS:
        return None
    fits = all(event.get(field) is None or check(event[field]) for field, check in _FIELDS.get(kind, {}).items())
    return event if fits else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_FIELDS: dict[str, dict[str, Callable[[object], bool]]] = {
    "start": {"learning_rate": _is_number, "worker_hosts": _is_texts, "warnings": _is_texts},
    "error": {"message": _is_text},
    **{kind: dict.fromkeys(fields, _is_number) for kind, fields in _CURVE_KEYS.items()},
}
"""What of each event is shown while it comes; a summary is checked as a whole, by `measurement`."""


def curves(lines: Iterable[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The intervals and the evaluations of one run's output, in its order, by their documented fields."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _CURVE_KEYS}
    for line in lines:
        event = parse_line(line)
        if event and event["event"] in found:
            found[event["event"]].append({key: _finite(event.get(key)) for key in _CURVE_KEYS[event["event"]]})
    return found["interval"], found["evaluation"]


def measurement(summary: Mapping[str, Any], output: Iterable[str] = ()) -> Measurement:
    """A summary event, and the lines of its run's output, as a Measurement.

    `run` and `environment` are what training.py adds to the event. Raises ProvisionerError when a field is missing or
    makes no sense.
    """
    intervals, evaluations = curves(output)
    try:
        speed = float(summary["images_per_second"])
        if not math.isfinite(speed) or speed < 0:
            raise ValueError(f"images_per_second is {speed}")
        loss, memory = summary.get("final_loss"), summary.get("memory_mib")
        return Measurement(
            model=str(summary["model"]),
            mode=str(summary["mode"]),
            dtype=str(summary["dtype"]),
            engine=str(summary["engine"]),
            workers=int(summary["workers"]),
            batch_size=int(summary["batch_size"]),
            images_per_second=speed,
            steps=int(summary["steps"]),
            final_loss=None if loss is None else float(loss),
            host=dict(summary.get("host") or {}),
            versions={str(name): str(version) for name, version in (summary.get("versions") or {}).items()},
            memory_mib=None if memory is None else float(memory),
            latency_ms={name: float(summary["latency_ms"][name]) for name in PERCENTILES}
            if summary.get("latency_ms")
            else None,
            run=str(summary.get("run") or ""),
            environment=dict(summary.get("environment") or {}),
            intervals=tuple(intervals),
            evaluations=tuple(evaluations),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ProvisionerError(
            f"the workload's summary cannot be read ({type(error).__name__}: {error})",
            "look at the training's log: its workload and this program must be of the same version",
        ) from error


def speedups(measurements: Iterable[Measurement]) -> dict[str, float]:
    """Mode to bfloat16 over float32 throughput, of the latest measurement of each; only modes that have both."""
    found = {}
    for (_, mode), legs in latest(measurements).items():
        slow, fast = legs.get("float32"), legs.get("bfloat16")
        if slow and fast and slow.images_per_second > 0:
            found[mode] = fast.images_per_second / slow.images_per_second
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


def latest(measurements: Iterable[Measurement]) -> dict[tuple[str, str], dict[str, Measurement]]:
    """(model, mode) to dtype to its latest measurement."""
    latest: dict[tuple[str, str], dict[str, Measurement]] = {}
    for one in measurements:
        latest.setdefault((one.model, one.mode), {})[one.dtype] = one
    return latest


# ---------------------------------------------------------------------------------------------- the report


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
    found_host: Mapping[str, Any] = {}
    found_versions: dict[str, str] = {}
    for one in measurements:
        found_host = one.host or found_host
        found_versions.update(one.versions)
    return Report(
        name,
        tuple(measurements),
        dict(found_host if host is None else host),
        dict(sorted((found_versions if versions is None else versions).items())),
    )


def tables(report: Report) -> list[Table]:
    """The paper's table, once for each model and mode that was measured; then how rates grow with workers, if known."""
    found = []
    for (model, mode), legs in latest(report.measurements).items():
        title = heading(model, mode)
        cells = [_speed(legs.get(dtype)) for dtype in _LABELS]
        ratio = speedups(legs.values()).get(mode)
        rows = [(f"Throughput ({unit(model)})", *cells, "needs both" if ratio is None else f"{ratio:.3f}")]
        rows += _latency(legs)
        conditions = list(_conditions(report, legs))
        known = paper.figures(model, mode)
        if known:
            rows += paper.rows(known)
            conditions += paper.conditions(known)
        header = (title, *_LABELS.values(), "Performance improvement by using bfloat16")
        found.append(Table(header, tuple(rows), tuple(conditions)))
    return found + [_scaling_table(setting, points) for setting, points in scaling(report.measurements).items()]


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
    known = catalog.models().get(model)
    return known.title if known else model


def unit(model: str) -> str:
    """What `images_per_second` counts with that model."""
    known = catalog.models().get(model)
    return f"{known.unit if known else 'images'}/second"


def _speed(leg: Measurement | None) -> str:
    return "not measured" if leg is None else f"{leg.images_per_second:.3f}"


def _latency(legs: Mapping[str, Measurement]) -> Iterable[tuple[str, ...]]:
    """A row of the percentiles where there are any; its improvement is that of the median."""
    found = {dtype: leg.latency_ms for dtype, leg in legs.items() if leg.latency_ms}
    if not found:
        return
    cells = [
        " / ".join(f"{found[dtype][name]:.1f}" for name in PERCENTILES) if dtype in found else "not measured"
        for dtype in _LABELS
    ]
    medians = [found[dtype]["p50"] for dtype in _LABELS if dtype in found]
    ratio = f"{medians[0] / medians[1]:.3f} (p50)" if len(medians) == 2 and medians[1] > 0 else "needs both"
    yield (f"Latency at batch size 1, {' / '.join(PERCENTILES)} (ms)", *cells, ratio)


def _conditions(report: Report, legs: Mapping[str, Measurement]) -> Iterable[str]:
    said = {_LABELS.get(dtype, dtype): _how(leg) for dtype, leg in legs.items()}
    if len(set(said.values())) == 1:
        yield f"Measured with {next(iter(said.values()))}"
    else:
        yield "Not measured alike: " + "; ".join(f"{label} with {how}" for label, how in said.items())
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
    for where in missing(report.measurements):
        yield (
            f"Measured without {', '.join(where['flags'])}: the processor has it, {where['system']} with kernel "
            f"{where['kernel']} does not show it; a newer kernel does"
        )
    if report.versions:
        yield "Versions: " + ", ".join(f"{name} {version}" for name, version in report.versions.items())


def _bf16(isa: Sequence[str] | None) -> str:
    if isa is None:
        return "bfloat16 instructions: not known"
    return f"bfloat16 instructions: {', '.join(catalog.bf16_of(isa)) or 'none, so bfloat16 is emulated'}"


# ---------------------------------------------------------------------------------------------- writing


def to_json(report: Report) -> str:
    """name, results, speedup, host {cpu, isa, cores}, versions and ratios, in this order; NaN is null.

    `speedup` is by mode, of the model that was measured last; `ratios` has every model, the paper's figures beside it.
    Where a kernel did not show what its processor has, `missing` follows; where several numbers of workers were
    measured, `scaling`.
    """
    host = report.host
    value = {
        "name": report.name,
        "results": [
            {key: _finite(getattr(one, key)) for key in (*_RESULT_KEYS, *_MORE_KEYS)} for one in report.measurements
        ],
        "speedup": speedups(report.measurements),
        "host": {"cpu": host.get("cpu"), "isa": list(host.get("isa") or ()), "cores": host.get("cores")},
        "versions": dict(report.versions),
        "ratios": ratios(report.measurements),
    }
    not_shown = missing(report.measurements)
    if not_shown:
        value["missing"] = not_shown
    grown = [
        {**setting._asdict(), "points": [point._asdict() for point in points]}
        for setting, points in scaling(report.measurements).items()
    ]
    if grown:
        value["scaling"] = grown
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN, and a training that diverged ends in one."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_csv(report: Report) -> str:
    """One row for each measurement, oldest first, with a header row; flags of the CPU are separated by spaces."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_KEYS)
    found = {(each["model"], each["mode"]): each for each in ratios(report.measurements)}
    for one in report.measurements:
        host = one.host or report.host
        ratio = found[one.model, one.mode]
        values = {
            **{key: getattr(one, key) for key in (*_RESULT_KEYS, "memory_mib")},
            "global_batch_size": one.batch_size * one.workers,
            "cpu": host.get("cpu"),
            "isa": " ".join(host.get("isa") or ()),
            "cores": host.get("cores"),
            **{f"latency_{name}_ms": (one.latency_ms or {}).get(name) for name in PERCENTILES},
            "speedup": ratio["speedup"],
            "paper_measured": (ratio["paper"] or {}).get("measured"),
            "paper_quoted_up_to": (ratio["paper"] or {}).get("quoted_up_to"),
        }
        writer.writerow([values[key] for key in _CSV_KEYS])
    return out.getvalue()


def to_table(report: Report) -> str:
    """The paper's table in plain lines, columns aligned."""
    return _each_table(report, report.name, _plain)


def _plain(table: Table) -> list[str]:
    return [*aligned([table.header, *table.rows], " | "), *table.conditions]


def to_markdown(report: Report) -> str:
    """The paper's table in Markdown."""
    return _each_table(report, f"# {_md(report.name)}", _markdown)


def _markdown(table: Table) -> list[str]:
    head, *rows = ("| " + " | ".join(map(_md, line)) + " |" for line in (table.header, *table.rows))
    return [
        head,
        "|---" + "|---:" * (len(table.header) - 1) + "|",
        *rows,
        "",
        *(f"- {_md(c)}" for c in table.conditions),
    ]


def _md(text: str) -> str:
    """Text that Markdown shows as it is."""
    for mark in "\\|`*_<":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")


def _each_table(report: Report, title: str, lines: Callable[[Table], list[str]]) -> str:
    blocks = [[title], *(lines(table) for table in tables(report))]
    if len(blocks) == 1:
        blocks.append(["Nothing is measured yet."])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { border-bottom: 1px solid #ccc; padding: .5rem .75rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
tr.paper { color: #666; font-style: italic; }
""".strip()


def to_html(report: Report) -> str:
    """The paper's table as one page that needs nothing else, with the paper's own figures in a row of their own."""
    body = "\n".join(map(_html, tables(report))) or "<p>Nothing is measured yet.</p>"
    name = html.escape(report.name)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}: float32 against bfloat16</title>\n<style>\n{_STYLE}\n</style>\n</head>\n"
        f"<body>\n<h1>{name}: float32 against bfloat16</h1>\n{body}\n</body>\n</html>\n"
    )


def _html(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in table.header)
    rows = "\n".join(
        ('<tr class="paper">' if row[0].startswith(paper.LABEL) else "<tr>")
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in table.rows
    )
    conditions = "\n".join(f"<li>{html.escape(condition)}</li>" for condition in table.conditions)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n<ul>\n{conditions}\n</ul>"


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "table": to_table,
    "json": to_json,
    "csv": to_csv,
    "md": to_markdown,
    "html": to_html,
}
"""What `report --format` takes."""
