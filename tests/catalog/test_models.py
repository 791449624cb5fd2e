"""The models that an inventory may name are those that the workload has."""

from __future__ import annotations

import pytest

from provisioner import catalog
from provisioner.reporting import report
from workload.models import MODELS


def test_they_are_the_workloads() -> None:
    """Both read one file; what each makes of it agrees."""
    ours = {m.name: (m.title, m.unit, m.engines, m.optimizers, m.label_smoothing) for m in catalog.models().values()}
    assert ours == {
        m.name: (m.title, m.unit, m.engines, m.optimizers, m.label_smoothing is not None) for m in MODELS.values()
    }
    assert {"resnet50", "bert-base"} <= set(ours)


@pytest.mark.parametrize(
    ("name", "title", "unit"),
    [
        ("resnet50", "ResNet-50", "images/second"),
        ("bert-base", "BERT-base", "sequences/second"),
        ("bert-somebody-elses", "bert-somebody-elses", "images/second"),
    ],
)
def test_title_and_unit(name: str, title: str, unit: str) -> None:
    """As the report shows them; a name from somebody else's output stays as it is."""
    assert (report.name_of(name), report.unit(name)) == (title, unit)
