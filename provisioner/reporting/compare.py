"""Two deployments' or two runs' measurements side by side: the throughputs, and what differs in how they were taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.render import aligned
from provisioner.reporting import report
from provisioner.reporting.measurement import Measurement
from provisioner.reporting.ratios import latest
from provisioner.reporting.report import Report

_HOW = ("engine", "workers", "batch_size", "steps")
_ABSENT = "-"


@dataclass(frozen=True)
class Row:
    """A model, mode and dtype: both throughputs; None where it was not measured."""

    model: str
    mode: str
    dtype: str
    throughputs: tuple[float | None, float | None]

    @property
    def difference(self) -> float | None:
        """The second minus the first."""
        first, second = self.throughputs
        return None if first is None or second is None else second - first

    @property
    def ratio(self) -> float | None:
        """The second over the first."""
        first, second = self.throughputs
        return None if not first or second is None else second / first


@dataclass(frozen=True)
class Difference:
    """A fact of the environment that is not the same on both sides: its dotted name, and what each side has."""

    name: str
    values: tuple[str, str]


@dataclass(frozen=True)
class Comparison:
    """Everything there is to say about two reports."""

    names: tuple[str, str]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]


def compare(first: Report, second: Report) -> Comparison:
    """The latest measurement of each model, mode and dtype in both, and what differs between those that are in both."""
    sides = [_latest(first), _latest(second)]
    every = list(dict.fromkeys(key for side in sides for key in side))
    rows = [Row(*key, (_throughput(sides[0], key), _throughput(sides[1], key))) for key in every]
    common = [key for key in every if all(key in side for side in sides)] or every
    facts = [_facts([side[key] for key in common if key in side]) for side in sides]
    names = sorted({name for side in facts for name in side})
    pairs = [(name, (facts[0].get(name, _ABSENT), facts[1].get(name, _ABSENT))) for name in names]
    differences = [Difference(name, values) for name, values in pairs if values[0] != values[1]]
    return Comparison((first.name, second.name), tuple(rows), tuple(differences))


Key = tuple[str, str, str]


def _latest(side: Report) -> dict[Key, Measurement]:
    return {
        (model, mode, dtype): leg
        for (model, mode), legs in latest(side.measurements).items()
        for dtype, leg in legs.items()
    }


def _throughput(side: Mapping[Key, Measurement], key: Key) -> float | None:
    return side[key].images_per_second if key in side else None


def _facts(legs: Sequence[Measurement]) -> dict[str, str]:
    """Dotted name to value; where the legs are not alike, all their values."""
    values: dict[str, dict[str, None]] = {}
    for leg in legs:
        how = {name: getattr(leg, name) for name in _HOW}
        for name, value in _flat({**how, "host": leg.host, "versions": leg.versions, **leg.environment}, ""):
            values.setdefault(name, {})[value] = None
    return {name: " | ".join(shown) for name, shown in values.items()}


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(inner, Mapping) for inner in value):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{number}]")
    elif isinstance(value, (list, tuple)):
        yield name, " ".join(map(str, value)) or _ABSENT
    else:
        yield name, _ABSENT if value is None else str(value)


def to_table(comparison: Comparison) -> str:
    """Plain lines, columns aligned: the throughputs, then what differs."""
    header = ("Throughput", *comparison.names, "difference", "ratio")
    rows = [(_title(row), *map(_number, (*row.throughputs, row.difference, row.ratio))) for row in comparison.rows]
    blocks = ["\n".join(aligned([header, *rows], " | "))]
    if comparison.differences:
        lines = [("What differs", *comparison.names), *((each.name, *each.values) for each in comparison.differences)]
        blocks.append("\n".join(aligned(lines, " | ")))
    else:
        blocks.append("Nothing else that was noted differs.")
    return "\n\n".join(blocks) + "\n"


def _title(row: Row) -> str:
    return f"{report.heading(row.model, row.mode)}, {row.dtype} ({report.unit(row.model)})"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def to_json(comparison: Comparison) -> str:
    """names, throughput (one object a model, mode and dtype) and differences, in this order."""
    value = {
        "names": list(comparison.names),
        "throughput": [
            {
                "model": row.model,
                "mode": row.mode,
                "dtype": row.dtype,
                "unit": report.unit(row.model),
                "values": list(row.throughputs),
                "difference": row.difference,
                "ratio": row.ratio,
            }
            for row in comparison.rows
        ],
        "differences": [{"name": each.name, "values": list(each.values)} for each in comparison.differences],
    }
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Comparison], str]] = {"table": to_table, "json": to_json}
"""What `report --compare --format` takes."""
