"""docs/adding.md, "An error code": its line is all that a new code needs."""

from __future__ import annotations

import re
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from provisioner.adapters.ecs import codes

PAGE = Path(__file__).parents[3] / "docs/adding.md"


def test_an_error_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = re.findall(r"^```tsv\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    shutil.copytree(str(files("provisioner").joinpath("data")), tmp_path / "data")
    with (tmp_path / "data/errors.tsv").open("a", encoding="utf-8") as table:
        table.write(line)
    assert codes.verdict("RunInstances", "OperationDenied.RackFull") is None
    monkeypatch.setattr(codes, "files", lambda _: tmp_path)
    codes._table.cache_clear()
    try:
        verdict = codes.Verdict("next", "take another zone: cloud.zones")
        assert codes.verdict("RunInstances", "OperationDenied.RackFull") == verdict
    finally:
        codes._table.cache_clear()
