"""The table of rates by number of workers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioner.reporting import report
from provisioner.reporting.formats import FORMATS
from provisioner.reporting.measurement import Measurement
from provisioner.reporting.scaling import Point, Setting, scaling


def measured(workers: int, rate: float, **changes: Any) -> Measurement:
    fields: dict[str, Any] = {"model": "resnet50", "mode": "train", "dtype": "bfloat16", "engine": "spark"}
    fields |= {"batch_size": 32, "steps": 10, "final_loss": None}
    return Measurement(workers=workers, images_per_second=rate, **{**fields, **changes})


def test_efficiency_compares_each_workers_rate_with_that_of_the_fewest() -> None:
    found = scaling([measured(4, 36.0), measured(1, 10.0), measured(2, 19.0)])
    assert found == {
        Setting("resnet50", "train", "bfloat16", "spark", 32): [
            Point(1, 10.0, 1.0),
            Point(2, 19.0, pytest.approx(0.95)),
            Point(4, 36.0, pytest.approx(0.9)),
        ]
    }


@pytest.mark.parametrize("changes", [{"dtype": "float32"}, {"batch_size": 64}, {"mode": "infer"}])
def test_only_what_differs_by_workers_alone_is_compared(changes: dict[str, Any]) -> None:
    assert scaling([measured(1, 10.0), measured(2, 19.0, **changes)]) == {}


def test_the_latest_measurement_counts() -> None:
    (points,) = scaling([measured(1, 1.0), measured(2, 19.0), measured(1, 10.0)]).values()
    assert [point.images_per_second for point in points] == [10.0, 19.0]


def test_a_rate_of_nothing_has_no_efficiency() -> None:
    assert scaling([measured(1, 0.0), measured(2, 0.0)]) == {}


def test_every_format_of_the_report_shows_it() -> None:
    found = report.build("mine", [measured(1, 10.0), measured(2, 19.0)])
    assert "2 workers" in FORMATS["table"](found)
    assert "| 2 workers | 19.000 | 95.0% |" in FORMATS["md"](found)
    assert "<td>95.0%</td>" in FORMATS["html"](found)
    (grown,) = json.loads(FORMATS["json"](found))["scaling"]
    assert grown["points"][1] == {"workers": 2, "images_per_second": 19.0, "efficiency": pytest.approx(0.95)}
