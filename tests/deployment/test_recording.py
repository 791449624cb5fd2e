"""What goes into a host's log, and which errors name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.adapters.host_logs import FolderHostLogs
from provisioner.deployment import Host, Session
from provisioner.deployment.recording import RecordedShell, Recording
from provisioner.errors import CommandError, ConnectError, HostError, ProvisionerError
from provisioner.step import ABSENT, Description, Finding, Presence
from provisioner.steps.base import HostStep
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost


class Commands(HostStep):
    """A step that runs a command to check, and others to apply."""

    part, undone = "commands", True

    def __init__(self, host: Host, apply: Callable[[Host], object]) -> None:
        super().__init__(host)
        self._apply = apply
        self._done = False

    def describe(self) -> Description:
        return Description("Install things")

    def check(self) -> Finding:
        self._host.connection().run("echo checked")
        return Finding(Presence.PRESENT) if self._done else ABSENT

    def apply(self) -> None:
        self._apply(self._host)
        self._done = True

    def undo(self) -> None:
        self._host.connection().run("echo undone")


class Logged:
    """A bench with a host and its log."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(static_spec("a"), FakeHost("a", folder / "a"))
        self.logs = FolderHostLogs(self.bench.store.folder, lambda: ())
        self.open()

    def open(self, untold: Callable[[str], None] = lambda text: None) -> None:
        """Open it, with its log."""
        ports = replace(self.bench.ports(), host_logs=self.logs, untold=untold, cloud=None)
        self.bench.session = Session(self.bench.spec, ports)

    def up(self, apply: Callable[[Host], object]) -> None:
        self.bench.runner(Commands(self.bench.session.hosts[0], apply)).up()

    def lines(self) -> list[str]:
        path = self.logs.path("a")
        return [line.split(" ", 1)[1] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(name="logged")
def _logged(tmp_path: Path) -> Logged:
    return Logged(tmp_path)


def test_a_log_has_what_a_step_ran_and_not_what_its_checks_ran(logged: Logged) -> None:
    heard: list[str] = []
    logged.up(
        lambda host: (
            host.connection().run("echo one\necho two >&2", on_line=heard.append),
            host.connection().run("echo three"),
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
        logged.up(lambda host: host.connection().run("seq 100; exit 3"))
    assert caught.value.remedy == f"its last lines say why; the whole output is in {logged.logs.path('a')}"
    assert logged.lines()[2:] == [f"[1] {number}" for number in range(1, 101)]


@pytest.mark.parametrize("error", [ConnectError("lost", host="a"), HostError("no room", "make room", host="a")])
def test_an_error_without_output_does_not_name_it(logged: Logged, error: ProvisionerError) -> None:
    remedy = error.remedy

    def fail(host: Host) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        logged.up(fail)
    assert caught.value.remedy == remedy


def test_what_down_runs_is_in_it_too(logged: Logged) -> None:
    logged.bench.runner(Commands(logged.bench.session.hosts[0], lambda host: None)).down()
    assert logged.lines() == ["=== Remove: Install things", "[1] $ echo undone", "[1] undone"]


def test_outside_of_steps_nothing_is_recorded(logged: Logged) -> None:
    logged.bench.session.host("a").connection().run("echo somebody looks")
    heard: list[str] = []
    logged.bench.session.host("a").recorder("docker pull", heard.append)("a layer")
    assert heard == ["a layer"]
    assert logged.lines() == []


def test_an_engines_lines_and_a_containers_commands_are_recorded(logged: Logged, tmp_path: Path) -> None:
    heard: list[str] = []
    recording = Recording(logged.logs, heard.append)
    inside = RecordedShell(FakeHost("inside", tmp_path / "inside"), "a", recording)
    with recording.of("a", "Start"):
        inside.run("echo from inside")
    with logged.bench.session.host("a").recorded("Pull"):
        logged.bench.session.host("a").recorder("docker pull", heard.append)("a layer")
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
    logged.open(untold.append)
    ran: list[str] = []
    logged.up(lambda here: ran.append(here.connection().run("echo installed; echo ready").output))
    assert ran == ["installed\nready\n"]
    (told,) = untold
    assert "a.log cannot be used: Is a directory" in told
