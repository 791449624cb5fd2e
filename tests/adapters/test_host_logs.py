"""The hosts' logs: masked, bounded, whole lines from any thread."""

from __future__ import annotations

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.adapters import host_logs
from provisioner.adapters.host_logs import FolderHostLogs
from provisioner.errors import StateError


def test_a_line_has_its_time_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    logs = FolderHostLogs(tmp_path, lambda: ())
    logs.append("a", "one")
    logs.append("a", "two")
    logs.append("b", "other")
    assert logs.path("a") == tmp_path / "logs/a.log"
    assert re.fullmatch(r"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ (one|two)\n){2}", logs.path("a").read_text())
    assert stat.S_IMODE(logs.path("a").stat().st_mode) == 0o600
    assert stat.S_IMODE(logs.path("a").parent.stat().st_mode) == 0o700


def test_secrets_are_stars_also_those_that_come_later(tmp_path: Path) -> None:
    secrets = ["hunter22"]
    logs = FolderHostLogs(tmp_path, lambda: secrets)
    logs.append("a", "--secret=hunter22-longer hunter22")
    secrets.append("hunter22-longer")
    secrets.append("e")
    logs.append("a", "--secret=hunter22-longer here")
    assert [line.split(" ", 1)[1] for line in logs.path("a").read_text().splitlines()] == [
        "--secret=********-longer ********",
        "--secret=******** here",
    ]


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_logs, "MOST_BYTES", 1000)
    monkeypatch.setattr(host_logs, "MOST_CHARACTERS", 100)
    logs = FolderHostLogs(tmp_path, lambda: ())
    for number in range(100):
        logs.append("a", f"{number} {'x' * 200}")
    files = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in files] == ["a.log", "a.log.1"]
    assert all(path.stat().st_size <= 1000 for path in files)
    assert " 99 xxx" in files[0].read_text()


def test_threads_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    logs = FolderHostLogs(tmp_path, lambda: ())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: logs.append("a", f"<{number}>"), range(400)))
    found = [line.split(" ", 1)[1] for line in logs.path("a").read_text().splitlines()]
    assert sorted(found) == sorted(f"<{number}>" for number in range(400))


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(StateError, match="cannot be used"):
        FolderHostLogs(tmp_path, lambda: ()).append("a", "one")
