"""What the commands of a host's steps print, into that host's log: the whole of it, where an error shows the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provisioner.errors import ConnectError, HostError, StateError
from provisioner.ports import Completed, Connection, HostLogs, OnBytes, OnLine, Shell


class Recording:
    """Decides what goes into the hosts' logs: what runs while a step changes its host, not what its checks run.

    `up` checks every step each time, with dozens of commands whose output nobody misses. Safe to use from several
    threads. A log that cannot be written stops no command: `untold` hears of it, once.
    """

    def __init__(self, logs: HostLogs, untold: Callable[[str], None]) -> None:
        self._logs = logs
        self._untold: Callable[[str], None] | None = untold
        self._entries: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, host: str, title: str) -> Iterator[None]:
        """Record the host's commands meanwhile. A HostError that leaves it names the log, if anything was printed."""
        with self._lock:
            self._entries[host] = 0
        self._append(host, f"=== {title}")
        try:
            yield
        except ConnectError:
            raise  # nothing was printed that says why
        except HostError as error:
            if self._entries[host]:
                where = f"the whole output is in {self._logs.path(host)}"
                error.remedy = f"{error.remedy}; {where}" if error.remedy else where
            raise
        finally:
            with self._lock:
                del self._entries[host]

    def lines(self, host: str, title: str, on_line: OnLine | None = None) -> OnLine | None:
        """What takes a command's lines: into the log while the host is recorded, and to `on_line` as ever.

        Entries are numbered within their step, since commands of several threads share the log.
        """
        with self._lock:
            if host not in self._entries:
                return on_line
            self._entries[host] += 1
            number = self._entries[host]
        self._append(host, f"[{number}] $ {title}")

        def line(text: str) -> None:
            self._append(host, f"[{number}] {text}")
            if on_line is not None:
                on_line(text)

        return line

    def _append(self, host: str, line: str) -> None:
        try:
            self._logs.append(host, line)
        except StateError as error:
            with self._lock:
                untold, self._untold = self._untold, None
            if untold:
                untold(str(error))


class RecordedShell:
    """Implements ports.Shell: another one's, whose commands are recorded under a host's name."""

    def __init__(self, shell: Shell, host: str, recording: Recording) -> None:
        self.name = shell.name
        self._shell = shell
        self._host = host
        self._recording = recording

    def run(
        self, command: str, *, timeout_s: float | None = 600, on_line: OnLine | None = None, check: bool = True
    ) -> Completed:
        """As ports.Shell.run."""
        line = self._recording.lines(self._host, command.strip().split("\n")[0], on_line)
        return self._shell.run(command, timeout_s=timeout_s, on_line=line, check=check)

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """As ports.Shell.put."""
        self._shell.put(content, path, mode=mode)

    def get(self, path: str) -> bytes:
        """As ports.Shell.get."""
        return self._shell.get(path)


class RecordedConnection(RecordedShell):
    """Implements ports.Connection: another one, whose commands are recorded."""

    def __init__(self, connection: Connection, recording: Recording) -> None:
        super().__init__(connection, connection.name, recording)
        self._connection = connection

    def dial(self, host: str, port: int) -> Any:
        """As ports.Connection.dial."""
        return self._connection.dial(host, port)

    def dial_command(self, command: str) -> Any:
        """As ports.Connection.dial_command."""
        return self._connection.dial_command(command)

    def interactive(self, command: str | None) -> int:
        """As ports.Connection.interactive."""
        return self._connection.interactive(command)

    def put_file(self, local: Path, path: str, *, on_bytes: OnBytes | None = None) -> None:
        """As ports.Connection.put_file."""
        self._connection.put_file(local, path, on_bytes=on_bytes)

    def get_file(self, path: str, local: Path, *, on_bytes: OnBytes | None = None) -> None:
        """As ports.Connection.get_file."""
        self._connection.get_file(path, local, on_bytes=on_bytes)

    def close(self) -> None:
        """As ports.Connection.close."""
        self._connection.close()
