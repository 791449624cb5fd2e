"""The examples of docs/api.md, run one after the other: the simulator is real, training alone is a stand-in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import provisioner
from provisioner import steps
from provisioner.deployment import Session
from provisioner.step import ABSENT, PRESENT, Description, Finding, Phase, Plan, Step
from tests.support.cli import ROOT
from tests.support.site import Site

PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RATES = {"float32": 10.0, "bfloat16": 17.0}


class MeasureStep(Step):
    """Trains nothing, and keeps a result as if it had."""

    def __init__(self, session: Session, dtype: str, *, again: bool) -> None:
        self.name = f"train/{dtype}"
        self._results = session.results
        self._dtype = dtype
        self._again = again

    def describe(self) -> Description:
        return Description(f"Train in {self._dtype}")

    def check(self) -> Finding:
        is_measured = any(one["dtype"] == self._dtype for one in self._results.measured)
        return PRESENT if is_measured and not self._again else ABSENT

    def apply(self) -> None:
        result: dict[str, Any] = {"model": "resnet50", "mode": "train", "dtype": self._dtype, "engine": "spark"}
        sizes = {"workers": 2, "batch_size": 32, "steps": 20}
        rate = {"images_per_second": RATES[self._dtype], "final_loss": 6.9}
        self._results.keep({**result, **sizes, **rate, "run": self._results.next_run(f"train-{self._dtype}")})
        self._again = False


def measuring(session: Session, *, again: bool = False) -> Phase:
    dtypes = session.spec.workload.dtypes
    return Phase("training", tuple(MeasureStep(session, dtype, again=again) for dtype in dtypes))


@pytest.fixture(name="_measured_without_spark")
def _without_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the plan what the cloud alone has part in, and the stand-in for the training."""
    whole = steps.plan

    def plan(session: Session) -> Plan:
        planned = whole(session)
        return Plan(planned.name, tuple(p for p in planned.phases if p.name in ("network", "instances", "training")))

    monkeypatch.setattr(steps, "plan", plan)
    monkeypatch.setattr(steps, "training", measuring)


@pytest.mark.usefixtures("_measured_without_spark")
def test_the_examples_run(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROVISIONER_ENDPOINT", site.simulator.endpoint)
    monkeypatch.chdir(tmp_path)
    site.inventory()
    names: dict[str, Any] = {"__name__": "example"}
    for example in EXAMPLES:
        exec(compile(example, "docs/api.md", "exec", dont_inherit=True), names)
    printed = capsys.readouterr().out
    assert "{'float32': 10.0, 'bfloat16': 17.0}" in printed
    assert "{'demo-001': 0}" in printed
    assert "[1.0]" in printed
    assert "0 left." in printed
    assert names["result"].report.name == "demo"
    assert site.simulator.resources == []


def test_the_page_names_everything_that_is_offered() -> None:
    unnamed = [name for name in provisioner.__all__ if f"provisioner.{name}" not in PAGE and f"`{name}`" not in PAGE]
    assert unnamed == []
