"""People's way onto the hosts, before the hosts themselves have part in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from provisioner.cli.exec_ import exec_
from provisioner.cli.ssh import ssh
from provisioner.deployment import Session
from provisioner.errors import ConnectError, UsageError
from provisioner.operations import hosts
from provisioner.ports import Completed
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost
from tests.support.processes import press_ctrl_c


def take(monkeypatch: pytest.MonkeyPatch, made: Bench) -> None:
    """The commands take this deployment."""

    @contextmanager
    def looking(_: str) -> Iterator[Session]:
        yield made.session

    monkeypatch.setattr(hosts, "looking_at", looking)


def look_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **sections: Any) -> list[str | None]:
    """The commands take a deployment of one host; what each terminal is opened for."""
    opened: list[str | None] = []

    class Host(FakeHost):
        def interactive(self, command: str | None) -> int:
            opened.append(command)
            return 3

    take(monkeypatch, Bench(static_spec("a", ssh={"user": "ecs-user"}, **sections), Host("a", tmp_path / "a")))
    return opened


def test_a_shell_in_the_container_is_opened_with_the_engines_rights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = look_at(monkeypatch, tmp_path, runtime="docker", image={"build": "spark", "container": "my-spark"})
    with pytest.raises(typer.Exit) as ended:
        ssh("demo", None, True)
    assert ended.value.exit_code == 3
    (command,) = opened
    assert command is not None
    assert command.endswith("exec $s docker exec -it my-spark bash")
    assert "sudo -n" in command


def test_where_there_is_no_container_none_is_entered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither is the host itself, which was not asked for."""
    opened = look_at(monkeypatch, tmp_path)
    with pytest.raises(UsageError, match="has no container"):
        ssh("demo", None, True)
    assert opened == []


def test_ctrl_c_ends_a_command_on_all_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their connections are cut: what runs without end there does not hold the program up."""
    both = threading.Barrier(2, action=press_ctrl_c)
    cut: list[str] = []

    class Host(FakeHost):
        def run(self, command: str, **options: Any) -> Completed:
            if command != "sleep 1000":
                return super().run(command, **options)
            both.wait(20.0)
            try:
                return super().run(command, **options)
            except ConnectError:
                cut.append(self.name)
                raise

    take(monkeypatch, Bench(static_spec("a", "b"), Host("a", tmp_path / "a"), Host("b", tmp_path / "b")))
    context = typer.Context(click.Command("exec"))
    context.args = ["sleep", "1000"]
    with pytest.raises(KeyboardInterrupt):
        exec_(context, "demo", "all", False)
    assert sorted(cut) == ["a", "b"]
