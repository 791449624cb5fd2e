"""Machines that are folders: an SSH server in this process, on a loopback address of the machine's own.

Commands run as the user who started the simulator, in a private folder that is home and working directory, with an
environment that holds nothing of the caller's but the search path and the language. Nothing is installed and nothing
written elsewhere by the machine itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import getpass
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from provisioner.simulator.machines import MARKER, process_table
from provisioner.simulator.machines.ssh import Door, Files, Sessions

NETWORK = ipaddress.ip_network("127.64.0.0/10")
KEPT = ("LANG", "LANGUAGE", "TZ", "JAVA_HOME")
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"

Result = TypeVar("Result")


class ProcessMachine:
    """One machine. `folder` holds its root, its address and its console."""

    def __init__(self, owner: ProcessMachines, instance_id: str, guard: socket.socket) -> None:
        self.public_ip: str = guard.getsockname()[0]
        self.private_ip = self.public_ip
        self._owner = owner
        self._mark = f"{owner.simulator_id}/{instance_id}"
        weakref.finalize(self, guard.close)
        self._guard = guard  # holds the address as long as the machine exists; listens while it is on
        self._folder = owner.folder / instance_id
        self._root = self._folder / "root"
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._user_data: subprocess.Popen[bytes] | None = None

    def start(self, user_data: str, authorized_keys: Sequence[str], hostname: str, user: str = "root") -> None:
        """Let people in, and run the user data if it is a script."""
        for name in ("tmp", "etc/ssh"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        (self._root / "etc/hostname").write_text(f"{hostname}\n")
        (self._folder / "console").write_text(f"{hostname} starts\n")
        host_key = self._host_key()
        keys = [asyncssh.import_public_key(line) for line in authorized_keys]
        environment = self._environment()
        self._guard.listen(128)
        self._owner.begin()
        self._acceptor = self._owner.run(self._listen(user, keys, host_key, environment))
        if user_data.startswith("#!"):
            self._run_user_data(user_data, environment)

    def stop(self) -> None:
        """Drop its connections, end its processes."""
        if self._acceptor is not None:
            self._owner.run(self._hang_up(self._acceptor))
            self._owner.finish()
            self._acceptor = None
            self._guard.shutdown(socket.SHUT_RDWR)  # refuses connections, and keeps the address
        process_table.end(self._mark)
        if self._user_data is not None:
            self._user_data.wait()

    def remove(self) -> None:
        """Stop it, give its address back, delete its files."""
        self.stop()
        self._guard.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run_command(self, script: str, timeout_s: float, *, folder: str = "", user: str = "") -> tuple[int | None, str]:  # noqa: ARG002
        """Run a script as SSH commands are run; also by the calling user, whatever `user` says."""
        with open(self._root / "tmp" / f".command-{secrets.token_hex(8)}", "w+b") as output:
            os.unlink(output.name)
            child = subprocess.Popen(
                ["/bin/sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._root / folder.lstrip("/"),
                env=self._environment(),
                start_new_session=True,
            )
            try:
                status: int | None = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                status = None
            output.seek(0)
            return status, output.read().decode("utf-8", "replace")

    def console(self) -> str:
        """The user data's output, and when the machine started."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / "console").read_text(errors="replace")
        return ""

    async def _listen(
        self, user: str, keys: list[asyncssh.SSHKey], host_key: asyncssh.SSHKey, environment: dict[str, str]
    ) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            sock=self._guard.dup(),
            server_factory=lambda: Door(user, keys, self._connections),
            server_host_keys=[host_key],
            process_factory=Sessions(self._root, environment),
            sftp_factory=lambda channel: Files(channel, self._root),
            allow_scp=True,
            encoding=None,
            line_editor=False,
            login_timeout=60,
        )

    async def _hang_up(self, acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        for connection in list(self._connections):
            connection.abort()
            await connection.wait_closed()

    def _host_key(self) -> asyncssh.SSHKey:
        path = self._root / HOST_KEY
        if path.exists():
            return asyncssh.read_private_key(path)
        key = asyncssh.generate_private_key("ssh-ed25519")
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key())
        path.with_name(f"{path.name}.pub").write_bytes(key.export_public_key())
        return key

    def _environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if name in KEPT or name.startswith("LC_")}
        search = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))
        user = getpass.getuser()
        root = str(self._root)
        return {
            **kept,
            "PATH": search,
            "HOME": root,
            "TMPDIR": str(self._root / "tmp"),
            "MACHINE_ROOT": root,
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/sh",
            MARKER: self._mark,
        }

    def _run_user_data(self, text: str, environment: dict[str, str]) -> None:
        path = self._root / "tmp" / "user-data"
        path.write_text(text)
        path.chmod(0o700)
        with (self._folder / "console").open("ab") as console:
            self._user_data = subprocess.Popen(
                [path],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                cwd=self._root,
                env=environment,
                start_new_session=True,
            )


class ProcessMachines:
    """Makes machines below a folder; one event loop, in a thread, serves all of them.

    Args:
        simulator_id: marks every process of the machines.
        folder: where the machines' folders go.
        ssh_port: the port on each machine's own address.
    """

    def __init__(self, simulator_id: str, folder: Path, *, ssh_port: int) -> None:
        self.simulator_id = simulator_id
        self.folder = folder
        self._ssh_port = ssh_port
        self._next = secrets.randbelow(NETWORK.num_addresses)
        self._running = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread

    def create(self, instance_id: str) -> ProcessMachine:
        """A machine with an address of its own; one that is in the folder already gets its old address back."""
        note = self.folder / instance_id / "address"
        note.parent.mkdir(parents=True, exist_ok=True)
        guard = self._bind(note.read_text(), again=True) if note.exists() else None
        if guard is None:
            guard = self._bind_next()
            note.write_text(guard.getsockname()[0])
        return ProcessMachine(self, instance_id, guard)

    def clean(self) -> None:
        """End all processes of all machines and remove their files."""
        process_table.end(f"{self.simulator_id}/")
        shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self) -> None:
        """A machine is about to start: the event loop runs while any machine does."""
        with self._lock:
            if self._running == 0:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="ssh-servers", daemon=True)
                self._thread.start()
            self._running += 1

    def finish(self) -> None:
        """A machine has stopped."""
        with self._lock:
            self._running -= 1
            if self._running == 0:
                self.run(self._end_tasks())
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something in the event loop, and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    def _bind_next(self) -> socket.socket:
        for _ in range(1000):
            self._next = (self._next + 1) % NETWORK.num_addresses
            guard = self._bind(str(NETWORK[self._next]), again=False) if 0 < self._next % 256 < 255 else None
            if guard is not None:
                return guard
        raise OSError(errno.EADDRINUSE, f"no free address with port {self._ssh_port} in {NETWORK}")

    def _bind(self, address: str, *, again: bool) -> socket.socket | None:
        """Take an address, `again` even when connections to it were open a minute ago; None when it is taken."""
        guard = socket.socket()
        try:
            if again:
                guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            guard.bind((address, self._ssh_port))
            # only now, or two simulators could take one address: it lets the machine listen again after a stop
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        except OSError as error:
            guard.close()
            if error.errno == errno.EADDRINUSE:
                return None
            raise
        return guard
