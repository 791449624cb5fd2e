"""Templates: nothing forgotten, nothing mangled, and every shell script that a plan shows is sound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from provisioner import render as module
from provisioner import steps
from provisioner.deployment import Session
from provisioner.errors import StateError
from provisioner.inventory import load
from provisioner.operations import plan as planning
from provisioner.render import aligned, counted, data_folder, render

ROOT = Path(__file__).parent.parent
THE_PAPERS_OWN = {"paper": "SC2046,SC2155"}
"""Lines that the paper prints as they are: `$(hostname)` and `$(pwd)` without quotes, or exported at once."""


def plan(path: Path) -> dict[str, Any]:
    return planning.document(steps.plan(Session(load(path)))).as_json()


INVENTORIES = sorted((ROOT / "inventories").glob("*.yaml"))
SCRIPTS = [
    pytest.param(path.stem, file["content"], id=f"{path.stem}-{file['host']}-{file['path'].rpartition('/')[2]}")
    for path in INVENTORIES
    for file in plan(path)["files"]
    if file["path"].endswith(".sh")
]


def test_there_are_scripts_of_every_kind() -> None:
    names = {str(script.id).rpartition("-")[2] for script in SCRIPTS}
    assert {"docker.sh", "workers.sh", "master.sh", "float32.sh", "bfloat16.sh", "programs.sh"} <= names


@pytest.mark.parametrize(("inventory", "content"), SCRIPTS)
def test_shellcheck_has_nothing_to_say(inventory: str, content: str) -> None:
    excluded = ["--exclude", THE_PAPERS_OWN[inventory]] if inventory in THE_PAPERS_OWN else []
    command = [str(Path(sys.executable).with_name("shellcheck")), "--severity", "warning", *excluded, "-"]
    done = subprocess.run(command, input=content, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("inventory", "content"), SCRIPTS)
def test_bash_can_read_them(inventory: str, content: str) -> None:
    done = subprocess.run(["bash", "-n"], input=content, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert content.startswith("#!/bin/bash\n")


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: path.stem)
def test_every_file_of_a_plan_is_whole(path: Path) -> None:
    """One line end at the end, no placeholder left, no path that is not absolute unless it is below the home folder."""
    for file in plan(path)["files"]:
        assert file["content"].endswith("\n")
        assert not file["content"].endswith("\n\n")
        assert "{{" not in file["content"]
        assert "{%" not in file["content"]
        assert "None" not in file["content"]


def test_a_forgotten_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render("spark/run-local.sh", work_folder="/x", threads=1, environment=[], arguments="")


def test_a_template_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(jinja2.TemplateNotFound):
        render("nothing.sh")


def test_values_go_in_as_they_are() -> None:
    """Shell and properties files are not HTML."""
    text = render(
        "spark/spark-defaults.conf",
        authenticate="true",
        event_folder="/a&b",
        master="spark://<m>:7077",
        history_page_port=18080,
        more=[("key", "\"quoted\" & 'more'")],
    )
    assert "spark.eventLog.dir=file:///a&b\n" in text
    assert "spark://<m>:7077\n" in text
    assert text.endswith("key=\"quoted\" & 'more'\n")


@pytest.mark.parametrize("name", ["templates", "workload", "inventories"])
def test_data_is_found_beside_the_package(name: str) -> None:
    assert data_folder(name) == ROOT / name


def test_data_is_found_inside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package/_templates").mkdir(parents=True)
    monkeypatch.setattr(module, "_PACKAGE", tmp_path / "package")
    assert data_folder("templates") == tmp_path / "package/_templates"
    with pytest.raises(StateError, match="the folder workload is missing"):
        data_folder("workload")


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_in_no_space() -> None:
    assert aligned([("NAME", "N"), ("a", "12"), ("longer", "")], " | ") == ["NAME   | N", "a      | 12", "longer |"]


@pytest.mark.parametrize(("number", "words"), [(0, "0 hosts"), (1, "1 host"), (2, "2 hosts")])
def test_a_number_and_its_noun(number: int, words: str) -> None:
    assert counted(number, "host") == words
