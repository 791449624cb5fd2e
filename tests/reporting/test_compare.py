"""Two reports side by side: throughputs and what differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioner.reporting import report
from provisioner.reporting.compare import compare, to_json, to_table
from tests.reporting.test_report import leg


def reports(first: list[Any], second: list[Any]) -> tuple[report.Report, report.Report]:
    return report.build("one", first), report.build("two", second)


def environment(**more: Any) -> dict[str, Any]:
    return {"program": "0.1", "hosts": [{"cores": 4, "worker_cpus": ["0-1", "2-3"]}], "image": None, **more}


def test_each_model_mode_and_type_is_a_row_with_its_difference() -> None:
    found = compare(*reports([leg("float32", 10), leg("bfloat16", 16)], [leg("bfloat16", 20), leg("float32", 10)]))
    assert [(row.dtype, row.throughputs, row.difference, row.ratio) for row in found.rows] == [
        ("float32", (10, 10), 0, 1),
        ("bfloat16", (16, 20), 4, 1.25),
    ]
    assert found.differences == ()
    assert "Nothing else that was noted differs." in to_table(found)


def test_the_latest_of_each_counts_and_what_one_side_lacks_stays_open() -> None:
    first = [leg("float32", 99), leg("float32", 10), leg("float32", 7, mode="infer")]
    found = compare(*reports(first, [leg("float32", 0)]))
    assert [row.throughputs for row in found.rows] == [(10, 0), (7, None)]
    assert (found.rows[1].difference, found.rows[1].ratio) == (None, None)
    assert "not measured" in to_table(found)
    assert json.loads(to_json(found))["throughput"][1]["values"] == [7.0, None]


@pytest.mark.parametrize(
    ("changes", "name", "values"),
    [
        ({"steps": 40}, "steps", ("20", "40")),
        ({"versions": {"tensorflow": "2.16"}}, "versions.tensorflow", ("2.21.0", "2.16")),
        ({"host": {"cpu": "b CPU", "isa": ["avx512_bf16"], "cores": 2}}, "host.cpu", ("a CPU", "b CPU")),
        ({"host": {"cpu": "a CPU", "isa": [], "cores": 2}}, "host.isa", ("avx512_bf16", "-")),
        ({"environment": environment(program="0.2")}, "program", ("0.1", "0.2")),
        ({"environment": environment(image="tag")}, "image", ("-", "tag")),
        ({"environment": environment(settings={"seed": 1})}, "settings.seed", ("-", "1")),
        (
            {"environment": environment(hosts=[{"cores": 4, "worker_cpus": ["0-3"]}])},
            "hosts[0].worker_cpus",
            ("0-1 2-3", "0-3"),
        ),
    ],
)
def test_what_differs_is_named_and_nothing_else(changes: dict[str, Any], name: str, values: tuple[str, str]) -> None:
    common: dict[str, Any] = {"environment": environment()}
    found = compare(*reports([leg("float32", 10, **common)], [leg("float32", 10, **{**common, **changes})]))
    assert [(each.name, each.values) for each in found.differences] == [(name, values)]
    (line,) = [line for line in to_table(found).splitlines() if line.startswith(name)]
    assert values[1] in line
    assert json.loads(to_json(found))["differences"] == [{"name": name, "values": list(values)}]


def test_legs_that_are_not_alike_show_all_their_values() -> None:
    found = compare(
        *reports([leg("float32", 10), leg("bfloat16", 16, steps=7)], [leg("float32", 10), leg("bfloat16", 9)])
    )
    assert [(each.name, each.values) for each in found.differences] == [("steps", ("20 | 7", "20"))]
