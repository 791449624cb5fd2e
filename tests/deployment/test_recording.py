"""What goes into a host's log, and which errors name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.adapters.host_logs import FolderHostLogs
from provisioner.deployment import Deployment
from provisioner.deployment.recording import RecordedShell, Recording
from provisioner.errors import CommandError, ConnectError, HostError, ProvisionerError
from provisioner.step import ABSENT, Description, Finding, Presence
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost


class Commands:
    """A step that runs a command to check, and others to apply."""

    name, owner = "commands/a", None

    def __init__(self, deployment: Deployment, apply: Callable[[Deployment], object]) -> None:
        self.deployment = deployment
        self.host: str | None = "a"
        self._apply = apply
        self._done = False

    def describe(self) -> Description:
        return Description("Install things")

    def check(self) -> Finding:
        self.deployment.connection("a").run("echo checked")
        return Finding(Presence.PRESENT) if self._done else ABSENT

    def apply(self) -> None:
        self._apply(self.deployment)
        self._done = True

    def undo(self) -> None:
        self.deployment.connection("a").run("echo undone")


class Logged:
    """A bench with a host and its log."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(static_spec("a"), FakeHost("a", folder / "a"))
        self.logs = FolderHostLogs(self.bench.store.folder, lambda: ())
        self.bench.deployment = Deployment(
            self.bench.spec, replace(self.bench.outside(), host_logs=self.logs, cloud=None)
        )

    def up(self, apply: Callable[[Deployment], object]) -> None:
        self.bench.runner(Commands(self.bench.deployment, apply)).up()

    def lines(self) -> list[str]:
        path = self.logs.path("a")
        return [line.split(" ", 1)[1] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(name="logged")
def _logged(tmp_path: Path) -> Logged:
    return Logged(tmp_path)


def test_a_log_has_what_a_step_ran_and_not_what_its_checks_ran(logged: Logged) -> None:
    heard: list[str] = []
    logged.up(
        lambda deployment: (
            deployment.connection("a").run("echo one\necho two >&2", on_line=heard.append),
            deployment.connection("a").run("echo three"),
        )
    )
    assert logged.lines() == [
        "=== Install things",
        "[1] $ echo one",
        "[1] one",
        "[1] two",
        "[2] $ echo three",
        "[2] three",
    ]
    assert heard == ["one", "two"]


def test_a_failed_step_names_the_log(logged: Logged) -> None:
    with pytest.raises(CommandError) as caught:
        logged.up(lambda deployment: deployment.connection("a").run("seq 100; exit 3"))
    assert caught.value.remedy == f"its last lines say why; the whole output is in {logged.logs.path('a')}"
    assert logged.lines()[2:] == [f"[1] {number}" for number in range(1, 101)]


@pytest.mark.parametrize("error", [ConnectError("lost", host="a"), HostError("no room", "make room", host="a")])
def test_an_error_without_output_does_not_name_it(logged: Logged, error: ProvisionerError) -> None:
    remedy = error.remedy

    def fail(deployment: Deployment) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        logged.up(fail)
    assert caught.value.remedy == remedy


def test_what_down_runs_is_in_it_too(logged: Logged) -> None:
    logged.bench.runner(Commands(logged.bench.deployment, lambda deployment: None)).down()
    assert logged.lines() == ["=== Remove: Install things", "[1] $ echo undone", "[1] undone"]


def test_outside_of_steps_nothing_is_recorded(logged: Logged) -> None:
    logged.bench.deployment.connection("a").run("echo somebody looks")
    heard: list[str] = []
    logged.bench.deployment.recorder("a", "docker pull", heard.append)("a layer")
    assert heard == ["a layer"]
    assert logged.lines() == []


def test_an_engines_lines_and_a_containers_commands_are_recorded(logged: Logged, tmp_path: Path) -> None:
    heard: list[str] = []
    recording = Recording(logged.logs, heard.append)
    inside = RecordedShell(FakeHost("inside", tmp_path / "inside"), "a", recording)
    with recording.of("a", "Start"):
        inside.run("echo from inside")
    with logged.bench.deployment.recorded("a", "Pull"):
        logged.bench.deployment.recorder("a", "docker pull", heard.append)("a layer")
    assert logged.lines()[1:] == [
        "[1] $ echo from inside",
        "[1] from inside",
        "=== Pull",
        "[1] $ docker pull",
        "[1] a layer",
    ]
    assert heard == ["a layer"]


def test_a_log_that_cannot_be_written_stops_no_command_and_is_told_once(logged: Logged) -> None:
    """A full disk: what is to be done or undone on the host is more than its log."""
    logged.logs.path("a").mkdir(parents=True)
    untold: list[str] = []
    deployment = logged.bench.deployment
    deployment.outside = replace(deployment.ports, untold=untold.append)
    logged.bench.deployment = Deployment(deployment.spec, deployment.outside)
    ran: list[str] = []
    logged.up(lambda here: ran.append(here.connection("a").run("echo installed; echo ready").output))
    assert ran == ["installed\nready\n"]
    (told,) = untold
    assert "a.log cannot be used: Is a directory" in told
