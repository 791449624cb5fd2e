"""Looking at data in a process of its own, which may not live to answer."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import ProvisionerError
from provisioner.operations import data


@pytest.mark.parametrize("output", ["", "\n", '{"event": "che', "[1]", '"check"', "Killed\n"])
def test_an_answer_that_is_none_is_an_error_with_its_last_line(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -9, output, "first\nout of memory\n")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)  # TensorFlow is there
    monkeypatch.setattr(subprocess, "run", ended)
    with pytest.raises(ProvisionerError, match="looking at the data failed: out of memory"):
        data.check(tmp_path)
