"""Everything that was measured, as one JSON object for programs."""

from __future__ import annotations

import json

from provisioner.reporting.events import finite
from provisioner.reporting.format import report_format
from provisioner.reporting.ratios import missing, ratios, speedups
from provisioner.reporting.report import Report
from provisioner.reporting.scaling import scaling

_KEYS = (
    "model", "mode", "dtype", "engine", "workers", "batch_size", "images_per_second", "steps", "final_loss",
    "memory_mib", "latency_ms", "run", "environment", "intervals", "evaluations",
)  # fmt: skip


@report_format("json")
def to_json(report: Report) -> str:
    """name, results, speedup, host {cpu, isa, cores}, versions and ratios, in this order; NaN is null.

    `speedup` is by mode, of the model that was measured last; `ratios` has every model, the paper's figures beside it.
    Where a kernel did not show what its processor has, `missing` follows; where several numbers of workers were
    measured, `scaling`.
    """
    host = report.host
    value = {
        "name": report.name,
        "results": [{key: finite(getattr(one, key)) for key in _KEYS} for one in report.measurements],
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
