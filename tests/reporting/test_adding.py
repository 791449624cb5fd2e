"""docs/adding.md, "A report format": its module is all that a new format needs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from provisioner.reporting.events import parse_line
from tests.support.cli import ROOT, provisioner
from tests.support.deployments import began, static_spec

MODULE = re.compile(
    r"^As `(\w+\.py)` in `provisioner/reporting/formats/`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
OUTPUT = ROOT / "tests/data/report/both/output.txt"


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """A folder with the program as it would be with the page's module in it."""
    for name in ("provisioner", "workload", "templates"):
        shutil.copytree(ROOT / name, tmp_path / "program" / name, ignore=shutil.ignore_patterns("__pycache__"))
    ((name, source),) = MODULE.findall((ROOT / "docs/adding.md").read_text(encoding="utf-8"))
    (tmp_path / "program/provisioner/reporting/formats" / name).write_text(source, encoding="utf-8")
    return tmp_path / "program"


def test_report_writes_it_and_its_help_names_it(root: Path) -> None:
    events = map(parse_line, OUTPUT.read_text().splitlines())
    summaries = [event for event in events if event and event["event"] == "summary"]
    began(static_spec("a"), results=tuple({**summary, "life": "r1"} for summary in summaries))
    done = provisioner("report", "demo", "--format", "chat", cwd=root, PYTHONPATH=str(root))
    assert (done.code, done.out, done.err) == (0, "demo: train 1.50 times as fast in bfloat16\n", "")
    assert "chat" in provisioner("report", "--help", cwd=root, PYTHONPATH=str(root)).out
