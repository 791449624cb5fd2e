"""This machine as a host, without SSH."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from provisioner import catalog
from provisioner.adapters.atomic import write_atomically
from provisioner.adapters.output import SILENCE_S, LineSplitter, completed, file_refused, shortened, too_slow
from provisioner.errors import ConnectError
from provisioner.hosts.address import HostAddress
from provisioner.ports import Completed, OnBytes, OnLine

_DIAL_TIMEOUT_S = 10
_KINDNESS_S = 2.0  # between TERM and KILL


class LocalConnector:
    """Implements ports.Connector: each connection is to this machine.

    Args:
        home: where commands run and relative paths begin; their $HOME.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def connect(self, host: HostAddress, *, ready_timeout_s: float) -> LocalConnection:  # noqa: ARG002
        """There at once. Raises ConnectError when the folder cannot be made."""
        try:
            self._home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConnectError(
                f"the folder {self._home} cannot be made: {error.strerror}", "check its owner and mode", host=host.name
            ) from error
        return LocalConnection(host.name, self._home)

    def close(self) -> None:
        """Nothing is shared."""


class LocalConnection:
    """Implements ports.Connection with processes and files of this machine."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self._home = home
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def run(
        self,
        command: str,
        *,
        timeout_s: float | None = 600,
        on_line: OnLine | None = None,
        check: bool = True,
    ) -> Completed:
        """Run with `/bin/sh -c` in the home folder, without input; wait for its end.

        It gets a process group of its own, which is stopped when it outlives `timeout_s`, is interrupted here, or the
        connection is closed. What it left running in the background is not waited for. A negative status is the signal
        that ended it. Raises CommandError when it ends non-zero and `check` is set, CommandTimeoutError, ConnectError.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        splitter = LineSplitter(on_line)
        process = self._start(command)
        try:
            in_time = _read(process, splitter, deadline)
            splitter.finish()
            if not in_time:
                raise too_slow(self.name, command, timeout_s, splitter)
        except BaseException:
            _stop(process)
            raise
        finally:
            assert process.stdout is not None  # noqa: S101
            process.stdout.close()
            with self._lock:
                self._running.discard(process)
        if self._closed:
            raise ConnectError(
                f"the connection to {self.name} was closed while `{shortened(command)}` was running", host=self.name
            )
        return completed(self.name, command, process.returncode, splitter, check=check)

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file whole or not at all; missing folders are made. Raises CommandError when it cannot be written."""
        target = self._home / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content, mode=mode)
        except OSError as error:
            raise file_refused(self.name, f"{path} could not be written", error) from error

    def put_file(self, local: Path, path: str, *, on_bytes: OnBytes | None = None) -> None:
        """As `put`, from another file, with its mode, told of once. Raises OSError when that cannot be read."""
        content = local.read_bytes()
        self.put(content, path, mode=local.stat().st_mode & 0o777)
        if on_bytes is not None:
            on_bytes(len(content), len(content))

    def get(self, path: str) -> bytes:
        """A file's content. Raises CommandError when it cannot be read."""
        try:
            return (self._home / path).read_bytes()
        except OSError as error:
            raise file_refused(self.name, f"{path} could not be read", error) from error

    def get_file(self, path: str, local: Path, *, on_bytes: OnBytes | None = None) -> None:
        """As `get`, to another file, told of once. Raises OSError when that cannot be written."""
        content = self.get(path)
        write_atomically(local, content, mode=0o644)
        if on_bytes is not None:
            on_bytes(len(content), len(content))

    def interactive(self, command: str | None) -> int:
        """A shell, or `command`, on this process's own terminal, for a person; its exit status."""
        shell = os.environ.get("SHELL", "/bin/sh")
        arguments = [shell] if command is None else ["/bin/sh", "-c", command]
        return subprocess.run(arguments, cwd=self._home, env=self._environment(), check=False).returncode

    def dial(self, host: str, port: int) -> socket.socket:
        """A socket to an address as seen from here. Raises ConnectError."""
        try:
            sock = socket.create_connection((host, port), _DIAL_TIMEOUT_S)
        except OSError as error:
            raise ConnectError(
                f"{self.name} refused a connection to {host}:{port}: {error}",
                "does that service listen?",
                host=self.name,
            ) from error
        sock.settimeout(None)
        return sock

    def dial_command(self, command: str) -> socket.socket:
        """A socket to the stdin and stdout of a command. Raises ConnectError."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=self._home,
                env=self._environment(),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._running.add(process)
        return ours

    def close(self) -> None:
        """Stop what runs; calls under way in other threads end with ConnectError. Calling twice is fine."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            _stop(process)

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise ConnectError(f"the connection to {self.name} is closed", host=self.name)
            try:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", command],
                    cwd=self._home,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise file_refused(self.name, f"`{shortened(command)}` could not be started", error) from error
            self._running.add(process)
            return process

    def _environment(self) -> dict[str, str]:
        # TensorFlow and Spark are where this program is (the extra `local`), whether that environment is active or not.
        search = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))
        ours = {name: value for name, value in os.environ.items() if not catalog.is_cleared(name)}
        return {**ours, "HOME": str(self._home), "PATH": search}


def _read(process: subprocess.Popen[bytes], splitter: LineSplitter, deadline: float | None) -> bool:
    """Read until the command has ended; False when `deadline` (time.monotonic) came first."""
    assert process.stdout is not None  # noqa: S101
    descriptor = process.stdout.fileno()
    ended = False
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if not ended and left is not None and left <= 0:
                return False
            if selector.select(SILENCE_S if ended or left is None else min(left, SILENCE_S)):
                data = os.read(descriptor, 65536)
                if not data:
                    break
                splitter.feed(data)
            elif ended:
                break  # what it left behind holds its output open
            else:
                ended = process.poll() is not None
    try:
        process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False  # it closed its output and runs on
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    """TERM to the process group, and KILL to what of it is left after two seconds."""
    until = time.monotonic() + _KINDNESS_S
    with suppress(ProcessLookupError):  # the whole group is gone
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < until:
            process.poll()  # or it would stay in the group as a zombie
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # stuck in the kernel
        process.wait(_KINDNESS_S)
