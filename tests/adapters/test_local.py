"""This machine as a host keeps the same promises as one over SSH."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.adapters.clock import SystemClock
from provisioner.adapters.local import LocalConnection, LocalConnector
from provisioner.errors import CommandError, CommandTimeoutError, ConnectError
from provisioner.hosts.address import HostAddress
from provisioner.ports import Completed
from tests.support.processes import ends, is_running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def connection(home: Path) -> LocalConnection:
    return LocalConnector(home).connect(HostAddress("localhost", "127.0.0.1", "127.0.0.1"), ready_timeout_s=0)


def test_a_command_gives_its_status_and_both_streams_in_order(connection: LocalConnection, home: Path) -> None:
    done = connection.run(
        "pwd; for i in 1 2; do echo out $i; echo err $i >&2; done; cat; echo $HOME; exit 3", check=False
    )
    assert done == Completed(3, f"{home}\nout 1\nerr 1\nout 2\nerr 2\n{home}\n")


def test_what_would_change_what_is_measured_is_not_handed_down(
    connection: LocalConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of whoever starts the program is not the host's; the rest of it is still there."""
    for name in ("TF_ENABLE_ONEDNN_OPTS", "BASH_ENV", "JAVA_HOME", "https_proxy"):
        monkeypatch.setenv(name, "x")
    done = connection.run("echo $TF_ENABLE_ONEDNN_OPTS $BASH_ENV $JAVA_HOME $https_proxy")
    assert done.output == "x\n"


def test_a_failed_command_raises_with_its_last_lines(connection: LocalConnection) -> None:
    with pytest.raises(CommandError, match="localhost: `seq 30; exit 7` ended with status 7") as caught:
        connection.run("seq 30; exit 7")
    assert caught.value.tail == tuple(map(str, range(11, 31)))


def test_a_command_that_a_signal_ended_has_a_negative_status(connection: LocalConnection) -> None:
    assert connection.run("kill -9 $$", check=False).status == -9


def test_lines_arrive_while_the_command_runs(connection: LocalConnection, home: Path) -> None:
    seen = []

    def on_line(line: str) -> None:
        seen.append(line)
        (home / "go").touch()

    connection.run("echo one; while [ ! -e go ]; do sleep 0.01; done; printf 'two\\r50%%\\n'", on_line=on_line)
    assert seen == ["one", "two", "50%"]


def test_a_command_too_slow_is_stopped_with_all_it_started(connection: LocalConnection, home: Path) -> None:
    command = "trap '' TERM; echo $$ > pids; sleep 300 & echo $! >> pids; echo begun; wait"
    with pytest.raises(CommandTimeoutError, match=r"did not end within 0\.5 s and was stopped") as caught:
        connection.run(command, timeout_s=0.5)
    assert caught.value.tail == ("begun",)
    pids = [int(line) for line in (home / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(map(ends, pids))


def test_a_command_that_closed_its_output_is_waited_for_within_its_deadline(connection: LocalConnection) -> None:
    assert connection.run("exec >&- 2>&-; sleep 0.2; exit 4", check=False).status == 4
    with pytest.raises(CommandTimeoutError):
        connection.run("exec >&- 2>&-; sleep 300", timeout_s=0.2)


def test_what_a_command_left_in_the_background_is_not_waited_for(connection: LocalConnection) -> None:
    pid = int(connection.run("sleep 300 & echo $!").output)
    assert is_running(pid)
    os.kill(pid, 9)


def test_an_error_of_the_reader_stays_what_it_is_and_stops_the_command(connection: LocalConnection, home: Path) -> None:
    def on_line(line: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        connection.run("echo $$ > pid; echo x; exec sleep 300", on_line=on_line)
    assert ends(int((home / "pid").read_text()))


def test_close_ends_what_runs_in_other_threads_and_is_final(connection: LocalConnection) -> None:
    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.run, "echo begun; exec sleep 300", on_line=lambda line: begun.set())
        assert begun.wait(30)
        connection.close()
        connection.close()
        with pytest.raises(ConnectError, match="was closed while"):
            running.result(30)
    with pytest.raises(ConnectError, match="is closed"):
        connection.run("true")


def test_put_makes_folders_replaces_and_leaves_nothing_beside(connection: LocalConnection, home: Path) -> None:
    connection.put(b"old", "a/b/file", mode=0o600)
    connection.put(b"new", "a/b/file", mode=0o640)
    assert connection.get("a/b/file") == b"new"
    assert stat.S_IMODE((home / "a/b/file").stat().st_mode) == 0o640
    assert os.listdir(home / "a/b") == ["file"]
    connection.put(b"x", str(home / "absolute"))
    assert (home / "absolute").read_bytes() == b"x"


def test_files_are_copied_both_ways(connection: LocalConnection, home: Path, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"content")
    (tmp_path / "local").chmod(0o750)
    connection.put_file(tmp_path / "local", "new/copy")
    assert stat.S_IMODE((home / "new/copy").stat().st_mode) == 0o750
    connection.get_file("new/copy", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"


def test_a_file_that_cannot_be_read_or_written_is_named(connection: LocalConnection, home: Path) -> None:
    with pytest.raises(CommandError, match="localhost: nowhere could not be read: No such file or directory"):
        connection.get("nowhere")
    with pytest.raises(CommandError, match=r"localhost: /proc/nowhere/file could not be written"):
        connection.put(b"x", "/proc/nowhere/file")
    (home / "folder").mkdir()
    with pytest.raises(CommandError, match=r"localhost: folder could not be written: Is a directory"):
        connection.put(b"x", "folder")
    assert os.listdir(home) == ["folder"]


def test_dial_reaches_what_listens_and_says_so_when_nothing_does(connection: LocalConnection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with connection.dial("127.0.0.1", port) as sock:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(b"hello")
                assert sock.recv(5) == b"hello"
    with pytest.raises(ConnectError, match=f"localhost refused a connection to 127.0.0.1:{port}"):
        connection.dial("127.0.0.1", port)


def test_dial_command_speaks_with_a_command(connection: LocalConnection) -> None:
    with connection.dial_command("cat; echo end") as sock:
        sock.sendall(b"there and back")
        sock.shutdown(socket.SHUT_WR)
        with sock.makefile("rb") as file:
            assert file.read() == b"there and backend\n"
    connection.close()


def test_interactive_gives_the_status(connection: LocalConnection) -> None:
    assert connection.interactive("exit 7") == 7


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(ConnectError, match=r"the folder /proc/nowhere cannot be made"):
        LocalConnector(Path("/proc/nowhere")).connect(HostAddress("localhost", "", ""), ready_timeout_s=0)


def test_the_clock_goes_forward_in_utc() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.01)
    clock.sleep(-1)
    assert clock.monotonic() - before >= 0.01
    assert re.search(r"\+00:00$", clock.now().isoformat())
