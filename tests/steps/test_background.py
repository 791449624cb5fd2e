"""What a look at a background program's folder means, whatever it prints."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.errors import HostError
from provisioner.steps.background import Trace, look, parse_look, start
from provisioner.steps.watch import EndedProcess, parse_ended

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/background/looks.yaml").read_text())


@pytest.mark.parametrize("case", CASES["looks"], ids=lambda case: case["name"])
def test_a_look(case: dict[str, Any]) -> None:
    assert parse_look(case["output"], "a") == Trace(**case["trace"])


@pytest.mark.parametrize(("file", "state"), [("key", "ended"), ("pid", "ended"), ("status", "running")])
def test_a_program_that_ends_while_it_is_looked_at_is_not_lost(tmp_path: Path, file: str, state: str) -> None:
    """After each file that is read; as a lost one it would be started a second time."""
    script = tmp_path / "program.sh"
    script.write_text("until [ -e gate ]; do sleep 0.01; done\n")
    folder = str(tmp_path / "training")
    ending = (
        f'cat() {{ command cat "$@"; [ "$1" = {folder}/{file} ] || return 0; p=$(command cat {folder}/pid); : > gate; '
        'while grep -qs . "/proc/$p/cmdline"; do sleep 0.01; done; }\n'
    )
    for command in (start(folder, str(script), "abc", "train-1"), ending + look(folder)):
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        )
    assert parse_look(done.stdout, "a").state == state


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: case["name"])
def test_a_host_cannot_name_the_files_here(case: dict[str, Any]) -> None:
    """A run's log is called after it."""
    with pytest.raises(HostError, match="which is no name of ours") as caught:
        parse_look(case["output"], "a")
    assert caught.value.host == "a"


@pytest.mark.parametrize("case", CASES["ended"], ids=lambda case: case["name"])
def test_an_ended_process(case: dict[str, Any]) -> None:
    process = case["process"]
    assert parse_ended("a", case["output"]) == (EndedProcess("a", *process) if process else None)
