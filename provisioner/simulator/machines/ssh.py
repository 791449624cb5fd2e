"""The SSH server of one process machine: sessions, SFTP and forwarding, for one key, in one folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import os
import shutil
import signal
import struct
import termios
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import asyncssh

LAST_OUTPUT_S = 0.5
CHUNK = 65536
WRITING = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC


class Door(asyncssh.SSHServer):
    """One connection: lets in the user who holds the key, and forwards to loopback."""

    def __init__(
        self, user: str, keys: Sequence[asyncssh.SSHKey], connections: set[asyncssh.SSHServerConnection]
    ) -> None:
        self._user = user
        self._keys = [key.public_data for key in keys]
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember the connection, so that a machine that stops can drop it."""
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget it."""
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        """Everybody has to show a key."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys are the only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Only the instance's own key, for the one user that it is for."""
        return username == self._user and key.public_data in self._keys

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:  # noqa: ARG002
        """direct-tcpip, to this machine alone."""
        if dest_host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(dest_host).is_loopback:
                return True
        raise asyncssh.ChannelOpenError(
            asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "a simulated machine forwards to loopback addresses only"
        )


class Files(asyncssh.SFTPServer):
    """SFTP: relative paths are in the folder, and so is everything that is written."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], root: Path) -> None:
        super().__init__(channel)
        self._root = os.fsencode(os.path.realpath(root))

    def map_path(self, path: bytes) -> bytes:
        """Where a path of the client's is."""
        return os.path.join(self._root, path)

    def _own(self, path: bytes) -> bytes:
        """The path, if it may be written to; links do not lead out."""
        folder, name = os.path.split(os.path.normpath(self.map_path(path)))
        real = os.path.realpath(os.path.join(os.path.realpath(folder), name))
        if os.path.commonpath([real, self._root]) != self._root:
            raise asyncssh.SFTPPermissionDenied(f"{os.fsdecode(path)} is outside of the machine's folder")
        return path

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        """Open a file."""
        return super().open(self._own(path) if pflags & WRITING else path, pflags, attrs)

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        """Open a file, as later versions of the protocol ask."""
        return super().open56(self._own(path), desired_access, flags, attrs)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        """Change a file's attributes."""
        return super().setstat(self._own(path), attrs)

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        """Change a link's attributes."""
        return super().lsetstat(self._own(path), attrs)

    def remove(self, path: bytes) -> Any:
        """Remove a file."""
        return super().remove(self._own(path))

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        """Make a folder."""
        return super().mkdir(self._own(path), attrs)

    def rmdir(self, path: bytes) -> Any:
        """Remove a folder."""
        return super().rmdir(self._own(path))

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        """Rename, unless the new name is taken."""
        return super().rename(self._own(oldpath), self._own(newpath))

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        """Rename, in place of what has the new name."""
        return super().posix_rename(self._own(oldpath), self._own(newpath))

    def symlink(self, oldpath: bytes, newpath: bytes) -> Any:
        """Make a symbolic link."""
        return super().symlink(oldpath, self._own(newpath))

    def link(self, oldpath: bytes, newpath: bytes) -> Any:
        """Make a hard link."""
        return super().link(self._own(oldpath), self._own(newpath))


class Sessions:
    """Runs what clients ask for: a command, a shell, with or without a terminal.

    A command goes on to its end when its client goes away, as under sshd.
    """

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = dict(environment)
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one session to its end."""
        task = asyncio.ensure_future(self._run(process))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        shell = shutil.which("bash") or "/bin/sh"
        argv = ["/bin/sh", "-c", process.command] if process.command is not None else [shell]
        environment = dict(self._environment)
        environment |= {name: text for name, text in process.env.items() if name == "LANG" or name.startswith("LC_")}
        if process.term_type:
            status = await self._on_terminal(process, argv, {**environment, "TERM": process.term_type})
        else:
            status = await self._on_pipes(process, argv, environment)
        with contextlib.suppress(OSError, asyncssh.Error):  # the client may have gone
            if status < 0:
                process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            else:
                process.exit(status)
            await process.wait_closed()

    async def _on_pipes(
        self, process: asyncssh.SSHServerProcess[bytes], argv: list[str], environment: dict[str, str]
    ) -> int:
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=self._root, env=environment, start_new_session=True
        )
        stdin = cast(asyncio.StreamWriter, child.stdin)
        stdout, stderr = cast(asyncio.StreamReader, child.stdout), cast(asyncio.StreamReader, child.stderr)
        with _let_go(child):
            feeding = asyncio.ensure_future(_feed_pipe(process, stdin, child.pid))
            await asyncio.gather(_show(stdout, process.stdout), _show(stderr, process.stderr))
            status = await child.wait()
            feeding.cancel()
            return status

    async def _on_terminal(
        self, process: asyncssh.SSHServerProcess[bytes], argv: list[str], environment: dict[str, str]
    ) -> int:
        terminal, inner = os.openpty()
        _set_size(terminal, process.term_size)
        try:
            child = await asyncio.create_subprocess_exec(
                "setsid", "--ctty", *argv, stdin=inner, stdout=inner, stderr=inner, cwd=self._root, env=environment
            )
        finally:
            os.close(inner)
        output = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(terminal, "rb", 0)
        )
        with _let_go(child), contextlib.closing(transport):
            feeding = asyncio.ensure_future(_feed_terminal(process, terminal, child.pid))
            showing = asyncio.ensure_future(_show(output, process.stdout))
            status = await child.wait()
            # a session ends with its shell, also while something in the background still holds the terminal
            await asyncio.wait([showing], timeout=LAST_OUTPUT_S)
            for task in (showing, feeding):
                task.cancel()
            return status


@contextlib.contextmanager
def _let_go(child: asyncio.subprocess.Process) -> Iterator[None]:
    """Give the pipes to a child back, also when its session is cancelled with the event loop.

    asyncio itself does so when the child has ended, which nobody waits for any more then.
    """
    try:
        yield
    finally:
        child._transport.close()  # type: ignore[attr-defined]  # there is no other way to it


async def _show(output: asyncio.StreamReader, stream: asyncssh.SSHWriter[bytes]) -> None:
    """Pass output on until it ends; when nobody listens any more, swallow it."""
    listening = True
    with contextlib.suppress(OSError):  # how a terminal ends
        while data := await output.read(CHUNK):
            if not listening:
                continue
            try:
                stream.write(data)
                await stream.drain()
            except (OSError, asyncssh.Error):
                listening = False


async def _feed_pipe(process: asyncssh.SSHServerProcess[bytes], stdin: asyncio.StreamWriter, pid: int) -> None:
    with contextlib.suppress(OSError):  # the command does not read on
        async for data in _given(process, pid, None):
            stdin.write(data)
            await stdin.drain()
    stdin.close()


async def _feed_terminal(process: asyncssh.SSHServerProcess[bytes], terminal: int, pid: int) -> None:
    async for data in _given(process, pid, terminal):
        rest = data
        while rest := rest[_write(terminal, rest) :]:
            await asyncio.sleep(0.01)


def _write(terminal: int, data: bytes) -> int:
    try:
        return os.write(terminal, data)
    except BlockingIOError:
        return 0


async def _given(process: asyncssh.SSHServerProcess[bytes], pid: int, terminal: int | None) -> AsyncIterator[bytes]:
    """What the client sends, until it ends; its signals and changes of the window's size go where they belong."""
    while True:
        try:
            data = await process.stdin.read(CHUNK)
        except asyncssh.TerminalSizeChanged as change:
            if terminal is not None:
                _set_size(terminal, change.term_size)
            continue
        except asyncssh.SignalReceived as received:
            with contextlib.suppress(ProcessLookupError, AttributeError):
                os.killpg(pid, getattr(signal, f"SIG{received.signal}"))
            continue
        except asyncssh.BreakReceived:
            continue
        except (OSError, asyncssh.Error):
            return
        if not data:
            return
        yield data


def _set_size(terminal: int, size: tuple[int, int, int, int]) -> None:
    width, height, pixels_wide, pixels_high = size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", height, width, pixels_wide, pixels_high))
