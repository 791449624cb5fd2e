"""What a look at a background program's folder means, whatever it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.steps.background import Trace, parse_look
from provisioner.steps.watch import EndedProcess, parse_ended

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/background/looks.yaml").read_text())


@pytest.mark.parametrize("case", CASES["looks"], ids=lambda case: case["name"])
def test_a_look(case: dict[str, Any]) -> None:
    assert parse_look(case["output"]) == Trace(**case["trace"])


@pytest.mark.parametrize("case", CASES["ended"], ids=lambda case: case["name"])
def test_an_ended_process(case: dict[str, Any]) -> None:
    process = case["process"]
    assert parse_ended("a", case["output"]) == (EndedProcess("a", *process) if process else None)
