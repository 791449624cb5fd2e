"""What is printed: lines in a pipe, JSON Lines on request, a question and a spinner on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.console import Console
from provisioner.runner import Event
from tests.support.cli import PATIENCE_S, command, environment, write

DONE = Event("done", "Create VPC (vpc-1)", "network", None, "vpc", 1.25)
THERE = Event("present", "Log in", "hosts", "a", "login/a")
FAILED = Event("failed", "disk full", "hosts", "a", "image/a")
PROGRESS = Event("progress", "waiting for vpc-1")


def test_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """What is being done shows only when it takes time, and once."""
    console = Console()
    for event in (Event("phase", "network", "network"), Event("start", "Create VPC"), PROGRESS, PROGRESS, DONE):
        console.event(event)
    for event in (THERE, FAILED, Event("undone", "vpc", "network", None, "vpc")):
        console.event(event)
    console.say("the end")
    assert capsys.readouterr().out.splitlines() == [
        "network:",
        "    . waiting for vpc-1",
        "  + Create VPC (vpc-1)  1.2 s",
        "  = [a] Log in",
        "  ! [a] disk full",
        "  - vpc",
        "the end",
    ]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line; what is for people is left out."""
    console = Console(as_json=True)
    console.event(DONE)
    console.event(PROGRESS)
    console.say("for people")
    console.result({"a": "é"})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"kind": "done", "text": DONE.text, "phase": "network", "step": "vpc", "seconds": 1.25},
        {"kind": "progress", "text": "waiting for vpc-1"},
        {"a": "é"},
    ]


def test_warnings_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Console(as_json=True).warn("it costs")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "provisioner: it costs\n")


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(("NAME", "STATE"), [("a", "Running"), ("a-long-name", "-")])
    assert capsys.readouterr().out == "NAME         STATE\na            Running\na-long-name  -\n"


# ------------------------------------------------------------------------------------------------ terminal


class Terminal:
    """A command at a terminal of its own; what it showed so far is in `shown`."""

    def __init__(self, *arguments: object) -> None:
        self._master, slave = pty.openpty()
        self.shown = ""
        self.process = subprocess.Popen(
            command(*arguments),
            env=environment(TERM="xterm", COLUMNS="200"),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C arrives as a signal
        )
        os.close(slave)

    def read(self, *, impatient: str = "") -> bool:
        """Wait for more; False at the end. `impatient` is typed again and again meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while not select.select([self._master], [], [], 0.5)[0]:
            assert time.monotonic() < deadline, self.shown
            self.type(impatient)
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += data.decode()
        return bool(data)

    def until(self, text: str) -> None:
        while text not in self.shown:
            assert self.read(), self.shown

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self, *, impatient: str = "") -> int:
        while self.read(impatient=impatient):
            pass
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture(name="terminal")
def _terminal() -> Iterator[Any]:
    opened: list[Terminal] = []

    def start(*arguments: object) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


MINE = "name: mine\nprovider: local\nruntime: host\nworkload: {engine: local}\n"


@pytest.mark.parametrize("answer", ["n", "", "no"])
def test_a_person_is_asked_and_may_say_no(terminal: Any, tmp_path: Path, answer: str) -> None:
    """The plan is shown before the question, and nothing is done without a yes."""
    shown = terminal("up", write(tmp_path / "i.yaml", MINE))
    shown.until("Go ahead? [y/N]")
    assert "Plan for mine" in shown.shown
    shown.type(f"{answer}\n")
    assert shown.end() == 2
    assert "not confirmed, nothing was done" in shown.shown
    assert not Path(environment()["XDG_STATE_HOME"]).exists()


def test_ctrl_c_at_the_question_is_an_interruption(terminal: Any, tmp_path: Path) -> None:
    shown = terminal("up", write(tmp_path / "i.yaml", MINE))
    shown.until("Go ahead? [y/N]")
    # Python's own input() misses one that comes right before it begins to read.
    shown.type("\x03")
    code = shown.end(impatient="\x03")
    assert "Traceback" not in shown.shown
    assert code == 130
