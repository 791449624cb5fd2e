"""What the workload prints, as values: its JSON lines are all that this program knows of it.

The lines come from hosts: nothing in them is trusted to be what it should.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from provisioner.errors import ProvisionerError
from provisioner.reporting.measurement import PERCENTILES, Measurement

EVENTS = frozenset({"start", "interval", "evaluation", "summary", "error"})
_CURVE_KEYS = {
    "interval": ("step", "loss", "images_per_second", "elapsed_s"),
    "evaluation": ("step", "epoch", "top_1", "top_5", "images"),
}


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
    points: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _CURVE_KEYS}
    for line in lines:
        event = parse_line(line)
        if event and event["event"] in points:
            points[event["event"]].append({key: finite(event.get(key)) for key in _CURVE_KEYS[event["event"]]})
    return points["interval"], points["evaluation"]


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


def finite(value: Any) -> Any:
    """JSON has no NaN, and a training that diverged ends in one."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
