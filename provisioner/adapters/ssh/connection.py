"""A host that we are logged into: commands, files and channels, from any thread."""

from __future__ import annotations

import io
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.adapters.output import LineSplitter, completed, file_refused, shortened, too_slow
from provisioner.adapters.ssh.command import RemoteCommand, answered, stop_line
from provisioner.adapters.ssh.sockets import ChannelSocket
from provisioner.errors import CommandTimeoutError, ConnectError
from provisioner.hosts.address import HostAddress
from provisioner.ports import Completed, OnBytes, OnLine

if TYPE_CHECKING:
    from paramiko import Channel, Transport

    from provisioner.adapters.ssh.files import RemoteFiles

_STOP_S = 15
_FAREWELL_S = 0.5  # a lost transport's thread ends a moment after its channels


class _RefusedError(ConnectError):
    """The host is there and does not open another channel."""


class SshConnection:
    """Implements ports.Connection over one SSH transport, which is made anew by the first call after it was lost.

    Args:
        host: where it leads.
        transport: logged in.
        reopen: logs in once more.
        answer_s: how long the other side may take to answer a request (a new channel, a file operation).
    """

    def __init__(
        self, host: HostAddress, transport: Transport, *, reopen: Callable[[], Transport], answer_s: float
    ) -> None:
        self.host = host
        self.name = host.name
        self._transport = transport
        self._reopen = reopen
        self._answer_s = answer_s
        self._closed = False
        self._lock = threading.Lock()
        self._sftp: tuple[Transport, RemoteFiles] | None = None
        self._sftp_lock = threading.Lock()
        self._turns = threading.Condition()
        self._running = 0  # commands
        self._ended = 0

    # ------------------------------------------------------------------------------------------------- commands

    def run(
        self,
        command: str,
        *,
        timeout_s: float | None = 600,
        on_line: OnLine | None = None,
        check: bool = True,
    ) -> Completed:
        """Run with `/bin/sh -c`, in the login's home folder, without input; wait for its end.

        A command that outlives `timeout_s`, or is interrupted here, is stopped on the host with its whole process
        group. What it left running in the background is not waited for. A negative status means that a signal ended it.
        Raises CommandError when it ends non-zero and `check` is set, CommandTimeoutError, and ConnectError when the
        connection is lost, in which case the command may or may not have finished.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        channel = self._session_in_turn()
        splitter = LineSplitter(on_line)
        remote = RemoteCommand(channel)
        when = f"while `{shortened(command)}` was running; whether it finished is not known"
        try:
            with self._lost(when):
                remote.start(command, self._answer_s)
            for data in self._output(remote, deadline, when):
                splitter.feed(data)
            splitter.finish()
            if not remote.in_time:
                raise too_slow(self.name, command, timeout_s, splitter)
        except ConnectError:
            raise
        except BaseException as error:  # too slow, Ctrl-C, or an `on_line` that failed: leave nothing running unwatched
            self._stop(remote.pid, wait=isinstance(error, CommandTimeoutError))
            raise
        finally:
            channel.close()
            with self._turns:
                self._running -= 1
                self._ended += 1
                self._turns.notify_all()
        return completed(self.name, command, channel.exit_status, splitter, check=check)

    def interactive(self, command: str | None) -> int:
        """A session on this process's own terminal, for a person: a login shell, or `command`; its exit status."""
        from provisioner.adapters.ssh.terminal import attach

        channel = self._session()
        try:
            with self._lost("during the session"):
                status = attach(channel, command)
                self._check_alive(channel)
                return status
        finally:
            channel.close()

    # ------------------------------------------------------------------------------------------------- files

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file whole or not at all: to a temporary name beside it, verified, then renamed.

        A relative `path` is below the login's home folder; missing folders are made. Raises CommandError when it cannot
        be written, ConnectError.
        """
        with self._files(f"{path} could not be written") as files:
            files.put(io.BytesIO(content), path, mode)

    def put_file(self, local: Path, path: str, *, on_bytes: OnBytes | None = None) -> None:
        """As `put`, streamed from a file here, with its mode. Raises OSError for the file here."""
        with local.open("rb") as source:
            status = local.stat()
            with self._files(f"{path} could not be written") as files:
                tell = None if on_bytes is None else lambda sent: on_bytes(sent, status.st_size)
                files.put(source, path, status.st_mode & 0o777, tell)

    def get(self, path: str) -> bytes:
        """A file's content. Raises CommandError when it cannot be read, ConnectError."""
        target = io.BytesIO()
        with self._files(f"{path} could not be read") as files:
            files.get(path, target)
        return target.getvalue()

    def get_file(self, path: str, local: Path, *, on_bytes: OnBytes | None = None) -> None:
        """As `get`, streamed to a file here, whole or not at all. Raises OSError for the file here."""
        partial = local.with_name(f".{local.name}.part")
        try:
            with partial.open("wb") as target, self._files(f"{path} could not be read") as files:
                files.get(path, target, on_bytes)
            partial.replace(local)
        finally:
            partial.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------------- channels

    def dial(self, host: str, port: int) -> ChannelSocket:
        """A socket to an address as seen from the host. Raises ConnectError."""
        return ChannelSocket(self.channel_to(host, port))

    def dial_command(self, command: str) -> ChannelSocket:
        """A socket to the stdin and stdout of a command (`docker system dial-stdio`). Raises ConnectError."""
        channel = self._session()
        with self._lost(f"while `{shortened(command)}` was starting"), answered(channel, self._answer_s):
            channel.exec_command(command)
        return ChannelSocket(channel)

    def channel_to(self, host: str, port: int) -> Channel:
        """The bare channel to an address as seen from the host. Raises ConnectError."""
        return self._open(
            "direct-tcpip",
            (host, port),
            f"a connection to {host}:{port}",
            "does that service listen, and does sshd allow TCP forwarding?",
        )

    def close(self) -> None:
        """End it; calls under way in other threads end with ConnectError. Calling twice is fine."""
        self._closed = True
        self._transport.close()

    # ------------------------------------------------------------------------------------------------- inner workings

    def _alive(self) -> Transport:
        """The transport, made anew if it was lost."""
        with self._lock:
            if not self._closed and not self._transport.is_active():
                self._transport = self._reopen()
            if self._closed:
                self._transport.close()
                raise ConnectError(f"the connection to {self.name} is closed", host=self.name)
            return self._transport

    def _session_in_turn(self) -> Channel:
        """A session for a command, which waits for another command's end while the host grants no more at once.

        sshd's MaxSessions is 10 unless somebody set it, and the host does not tell.
        """
        while True:
            with self._turns:
                ended = self._ended
            try:
                channel = self._session()
            except _RefusedError:
                with self._turns:
                    if self._running == 0 and self._ended == ended:
                        raise
                    self._turns.wait_for(lambda ended=ended: self._ended != ended)  # type: ignore[misc]
                continue
            with self._turns:
                self._running += 1
            return channel

    def _session(self) -> Channel:
        return self._open(
            "session",
            None,
            "another session",
            "too many commands at once on one connection (MaxSessions in sshd_config), or a login without a shell?",
        )

    def _open(self, kind: str, target: tuple[str, int] | None, what: str, advice: str) -> Channel:
        import paramiko

        origin = ("127.0.0.1", 0) if target else None
        for last in (False, True):
            transport = self._alive()
            start = time.monotonic()
            try:
                return transport.open_channel(kind, target, origin, timeout=self._answer_s)
            except (paramiko.SSHException, EOFError, OSError) as error:
                answered_s = time.monotonic() - start
                transport.join(_FAREWELL_S)
                if transport.is_active() and answered_s < self._answer_s:
                    # of several that are refused at once, paramiko gives one the reason and the others an SSHException
                    reason = f": {error.text}" if isinstance(error, paramiko.ChannelException) else ""
                    raise _RefusedError(f"{self.name} refused {what}{reason}", advice, host=self.name) from error
                if last or transport.is_active():
                    raise self._lost_error(f"when asked for {what}") from error
                # it was lost before anything was asked of the host, so once more over a new one is safe
        raise AssertionError

    def _output(self, remote: RemoteCommand, deadline: float | None, when: str) -> Iterator[bytes]:
        """Only what the channel raises means that it was lost, not what is done with the output."""
        with self._lost(when):
            yield from remote.output(deadline)
            if remote.in_time:
                self._check_alive(remote.channel)

    def _stop(self, pid: int | None, *, wait: bool) -> None:
        if pid is None or not self._transport.is_active():
            return  # it never started, or is out of reach
        with suppress(Exception):  # what brought us here is the error to report
            channel = self._session()
            with answered(channel, self._answer_s):
                channel.exec_command(stop_line(pid))
            if wait:
                channel.status_event.wait(_STOP_S)
                channel.close()

    @contextmanager
    def _lost(self, when: str) -> Iterator[None]:
        import paramiko

        try:
            yield
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._lost_error(when) from error

    def _lost_error(self, when: str) -> ConnectError:
        self._transport.join(_FAREWELL_S)
        again = "run the same again: what is done already is left as it is"
        if self._closed:
            return ConnectError(f"the connection to {self.name} was closed {when}", again, host=self.name)
        if self._transport.is_active():
            return ConnectError(
                f"{self.name} did not answer, or ended the channel, {when}",
                "is the host overloaded or out of memory, or is this a login without a shell?",
                host=self.name,
            )
        return ConnectError(f"the connection to {self.name} was lost {when}", again, host=self.name)

    def _check_alive(self, channel: Channel) -> None:
        """Raises EOFError when a channel ended without a status, unless that is just a command that a signal ended."""
        if channel.exit_status < 0:
            self._transport.join(_FAREWELL_S)
            if not self._transport.is_active():
                raise EOFError

    @contextmanager
    def _files(self, failed: str) -> Iterator[RemoteFiles]:
        """The one SFTP session, opened at the first file. What the host refuses is a CommandError saying `failed`."""
        with self._sftp_lock, self._lost("during a file transfer"):
            transport = self._alive()
            if self._sftp is None or self._sftp[0] is not transport:
                self._sftp = transport, self._open_files()
            files = self._sftp[1]
            try:
                yield files
            except OSError as error:
                if not isinstance(error, (TimeoutError, ConnectionError)):
                    raise file_refused(self.name, failed, error) from error
                self._sftp = None  # its answers no longer belong to its questions
                files.close()
                raise

    def _open_files(self) -> RemoteFiles:
        from provisioner.adapters.ssh.files import RemoteFiles

        channel = self._session()
        channel.settimeout(self._answer_s)
        with answered(channel, self._answer_s):
            return RemoteFiles(channel, self._sha256)

    def _sha256(self, path: str) -> str:
        return self.run(f"sha256sum < {shlex.quote(path)}").output.split()[0]
