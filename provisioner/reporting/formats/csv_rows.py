"""A row for each measurement, for spreadsheets."""

from __future__ import annotations

import csv
import io

from provisioner.reporting.format import report_format
from provisioner.reporting.measurement import PERCENTILES
from provisioner.reporting.ratios import ratios
from provisioner.reporting.report import Report

_AS_MEASURED = (
    "model", "mode", "dtype", "engine", "workers", "batch_size", "images_per_second", "steps", "final_loss",
    "memory_mib",
)  # fmt: skip
_COLUMNS = (
    "model", "mode", "dtype", "engine", "workers", "batch_size", "global_batch_size", "images_per_second", "steps",
    "final_loss", "memory_mib", "cpu", "isa", "cores", *(f"latency_{name}_ms" for name in PERCENTILES), "speedup",
    "paper_measured", "paper_quoted_up_to",
)  # fmt: skip


@report_format("csv")
def to_csv(report: Report) -> str:
    """One row for each measurement, oldest first, with a header row; flags of the CPU are separated by spaces."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    ratio_of = {(each["model"], each["mode"]): each for each in ratios(report.measurements)}
    for one in report.measurements:
        host = one.host or report.host
        ratio = ratio_of[one.model, one.mode]
        values = {
            **{key: getattr(one, key) for key in _AS_MEASURED},
            "global_batch_size": one.batch_size * one.workers,
            "cpu": host.get("cpu"),
            "isa": " ".join(host.get("isa") or ()),
            "cores": host.get("cores"),
            **{f"latency_{name}_ms": (one.latency_ms or {}).get(name) for name in PERCENTILES},
            "speedup": ratio["speedup"],
            "paper_measured": (ratio["paper"] or {}).get("measured"),
            "paper_quoted_up_to": (ratio["paper"] or {}).get("quoted_up_to"),
        }
        writer.writerow([values[key] for key in _COLUMNS])
    return out.getvalue()
