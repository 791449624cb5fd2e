"""Real SSH servers for tests (asyncssh): exec, SFTP, terminals and forwarding on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncssh


class Servers:
    """One event loop, in a thread, for all servers of a test; stops them and what they started."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(200))  # one waits for each command that runs
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[SshServer] = []

    def call(self, work: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self.loop).result(30)

    def add(self, **settings: Any) -> SshServer:
        server = SshServer(self, **settings)
        self._servers.append(server)
        return server

    def close(self) -> None:
        for server in self._servers:
            server.stop()
        self.call(self._end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        self.loop.close()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_default_executor()


class SshServer:
    """A server; it listens once `start` is called.

    Args:
        home: where commands run and SFTP begins.
        login: the public key lines that are let in, read at each login.
        user: the one user there is.
        host_keys: private keys.
        greeting: what the login's start-up files print before each command.
        files: the SFTP server's class.
        sessions: whether it grants any; without them it only forwards.
        most_sessions: how many at once, over all connections, as sshd's MaxSessions for one.
    """

    def __init__(
        self,
        servers: Servers,
        *,
        home: Path,
        login: list[str],
        user: str = "root",
        host_keys: Sequence[asyncssh.SSHKey] = (),
        greeting: str = "",
        files: type[asyncssh.SFTPServer] | None = None,
        sessions: bool = True,
        most_sessions: int | None = None,
    ) -> None:
        self.home = home
        self.login = login
        self.user = user
        self.host_keys = list(host_keys) or [asyncssh.generate_private_key("ssh-ed25519")]
        self.greeting = greeting
        self._sessions = sessions
        self._most_sessions = most_sessions
        self._open_sessions = 0
        self.port = free_port()
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.logins: list[str] = []
        self.forwarded: list[tuple[str, int]] = []
        self._files = files or HomeFiles
        self._servers = servers
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def public_keys(self) -> list[str]:
        """The host keys as `TYPE BASE64`."""
        return [key.export_public_key().decode().strip() for key in self.host_keys]

    def start(self) -> SshServer:
        self._acceptor = self._servers.call(
            asyncssh.listen(
                "127.0.0.1",
                self.port,
                server_factory=lambda: _Door(self),
                server_host_keys=self.host_keys,
                process_factory=self._process if self._sessions and not self._most_sessions else None,
                sftp_factory=self._sftp if self._sessions and not self._most_sessions else None,
                encoding=None,
                line_editor=False,
                reuse_address=True,
            )
        )
        return self

    def session(self) -> Any:
        """One more session, or False when there are as many as there may be."""
        if not self._most_sessions or self._open_sessions >= self._most_sessions:
            return False
        self._open_sessions += 1

        async def counted(process: asyncssh.SSHServerProcess[bytes]) -> None:
            try:
                await self._process(process)
            finally:
                self._open_sessions -= 1

        return asyncssh.SSHServerProcess(counted, None, 3, False)

    def drop(self) -> None:
        """Cut all connections, as a pulled cable would (but told to the other side)."""

        async def cut() -> None:
            for connection in self.connections:
                transport = connection._transport
                if transport is not None:
                    transport.abort()

        self._servers.call(cut())

    def ended(self, connection: asyncssh.SSHServerConnection) -> bool:
        """Whether the other side ends that connection within 20 s."""
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            self._servers.call(asyncio.wait_for(connection.wait_closed(), 20))
            return True
        return False

    def stop(self) -> None:
        async def end() -> None:
            if self._acceptor is not None:
                self._acceptor.close()
                await self._acceptor.wait_closed()
            for connection in self.connections:
                connection.abort()
                await connection.wait_closed()
            for child in self._children:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                for pipe in filter(None, (child.stdin, child.stdout, child.stderr)):
                    pipe.close()

        self._servers.call(end())

    def _sftp(self, channel: Any) -> asyncssh.SFTPServer:
        return self._files(channel, os.fsencode(self.home))

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if process.term_type:
            await _terminal(process)
            return
        child = subprocess.Popen(
            ["/bin/sh", "-c", f"printf %s '{self.greeting}'\n{process.command}"],
            cwd=self.home,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._children.append(child)
        await process.redirect(child.stdin, child.stdout, child.stderr, send_eof=False)  # stderr may end before stdout
        ending = asyncio.create_task(_end_of_output(process))
        status = await asyncio.get_running_loop().run_in_executor(None, child.wait)
        if status < 0:
            process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            await process.wait_closed()
            return
        # as sshd: the status when it ends, the end of output when nothing holds it open any more, whichever is first
        process.channel._send_request(b"exit-status", asyncssh.packet.UInt32(status))
        await ending
        process.close()
        await process.wait_closed()


async def _end_of_output(process: asyncssh.SSHServerProcess[bytes]) -> None:
    await process.stdout.drain()
    await process.stderr.drain()
    with contextlib.suppress(OSError):  # the other side has closed it
        process.channel.write_eof()


async def _terminal(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Says what terminal it has, and each change of its size; ends at `q` with status 7."""

    def say(what: str) -> None:
        columns, lines = process.term_size[:2]
        process.stdout.write(f"{what} {process.term_type} {columns}x{lines} {process.command}\r\n".encode())

    say("terminal")
    while True:
        try:
            key = await process.stdin.read(1)
        except asyncssh.TerminalSizeChanged:
            say("resized")
            continue
        if key in (b"q", b""):
            process.exit(7)
            return
        process.stdout.write(f"key {key!r}\r\n".encode())


class _Door(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
        self._server.connections.append(connection)

    def session_requested(self) -> Any:
        return self._server.session()

    def begin_auth(self, username: str) -> bool:
        self._server.logins.append(username)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = [asyncssh.import_public_key(line) for line in self._server.login]
        return username == self._server.user and key in known

    def connection_requested(self, host: str, port: int, *origin: Any) -> bool:
        self._server.forwarded.append((host, port))
        return True


class HomeFiles(asyncssh.SFTPServer):
    """SFTP that begins in the home folder without being locked into it."""

    def __init__(self, channel: Any, home: bytes) -> None:
        super().__init__(channel)
        self._home = home

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(self._home, path)


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
