"""The inside of a container as a Shell: commands through the engine's exec, files through its archives."""

from __future__ import annotations

import http.client
import io
import json
import posixpath
import secrets
import shlex
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from hashlib import sha256
from typing import Any

from provisioner.adapters.docker.dial import REQUEST_TIMEOUT_S, Dial
from provisioner.adapters.docker.errors import translated
from provisioner.adapters.docker.transport import EngineClient
from provisioner.adapters.output import TAIL_LINES, LineSplitter, completed, too_slow
from provisioner.errors import CommandError, HostError
from provisioner.ports import Completed, OnLine

_STDERR = 2


class _LateError(Exception):
    """The deadline of a command has passed."""


class ContainerShell:
    """A running container of one host. Commands run as the image's user, in that user's home folder."""

    def __init__(
        self,
        client: Callable[[], EngineClient],
        dial: Dial,
        container: str,
        host: str,
    ) -> None:
        self.name = f"{host}:{container}"
        self._client = client
        self._dial = dial
        self._container = container
        self._host = host

    def run(
        self,
        command: str,
        *,
        timeout_s: float | None = 600,
        on_line: OnLine | None = None,
        check: bool = True,
    ) -> Completed:
        """As ports.Shell.run; a command that outlives `timeout_s` is killed with its whole process group."""
        lines = LineSplitter(on_line)
        try:
            # One pipe for both streams, so that their lines keep their order.
            status = self._exec(f"exec 2>&1\n{command}", lambda _, data: lines.feed(data), timeout_s)
        except _LateError as error:
            raise too_slow(self.name, command, timeout_s, lines) from error
        lines.finish()
        return completed(self.name, command, status, lines, check=check)

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """As ports.Shell.put. Raises CommandError when the image's user may not write there."""
        folder, name = posixpath.split(path)
        folder = folder or "."
        where = self.run(
            f"mkdir -p -- {shlex.quote(folder)} && cd -- {shlex.quote(folder)} && [ -w . ] && id -u && id -g && pwd -P",
            timeout_s=REQUEST_TIMEOUT_S,
        )
        uid, gid, folder = where.output.splitlines()[-3:]
        temporary = f".{name}.{secrets.token_hex(4)}"
        member = tarfile.TarInfo(temporary)
        member.size, member.mode, member.uid, member.gid = len(content), mode, int(uid), int(gid)
        member.mtime = int(time.time())
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(member, io.BytesIO(content))
        with translated(self._host, f"copy {path} into {self._container}"):
            self._client().put_archive(self._container, folder, archive.getvalue())
        source, target = (shlex.quote(posixpath.join(folder, each)) for each in (temporary, name))
        moved = self.run(
            f'[ "$(sha256sum <{source} | cut -c1-64)" = {sha256(content).hexdigest()} ] && mv -f -- {source} {target} '
            f"|| {{ rm -f -- {source}; exit 1; }}",
            timeout_s=REQUEST_TIMEOUT_S,
            check=False,
        )
        if moved.status != 0:
            raise CommandError(
                f"{self.name}: {path} could not be written whole",
                "check the free space, then run the same again",
                host=self._host,
                tail=moved.output.splitlines(),
                status=moved.status,
            )

    def get(self, path: str) -> bytes:
        """As ports.Shell.get."""
        content, complaint = io.BytesIO(), io.BytesIO()
        status = self._exec(
            f"exec cat -- {shlex.quote(path)}",
            lambda stream, data: (complaint if stream == _STDERR else content).write(data),
            None,
        )
        if status != 0:
            raise CommandError(
                f"{self.name}: {path} could not be read",
                "check the path, its owner and mode",
                host=self._host,
                tail=complaint.getvalue().decode("utf-8", "replace").splitlines()[-TAIL_LINES:],
                status=status,
            )
        return content.getvalue()

    def _exec(self, script: str, feed: Callable[[int, bytes], object], timeout_s: float | None) -> int:
        """Run a script; its output goes to `feed` with the number of its stream; its exit status.

        Raises _LateError at the deadline. Then, as after any other error here, the script's processes are ended.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        # The first line tells the process id inside the container: the API has no call that ends an exec. The engine
        # makes each exec a session of its own, so that id is also its process group's.
        wrapped = f'echo $$\ncd "${{HOME:-/}}" || exit 126\n{script}'
        with translated(self._host, f"run a command in {self._container}"):
            client = self._client()
            exec_id = client.exec_create(self._container, ["/bin/sh", "-c", wrapped])["Id"]
            sock = self._dial()
        pid = _ProcessId()
        try:
            with translated(self._host, f"run a command in {self._container}"), closing(sock):
                for kind, data in self._frames(sock, client, exec_id, deadline):
                    feed(kind, data if kind == _STDERR else pid.take(data))
                return self._status(client, exec_id, deadline)
        except BaseException:
            if pid.number:
                self._kill(pid.number)
            raise

    def _frames(
        self, sock: Any, client: EngineClient, exec_id: str, deadline: float | None
    ) -> Iterator[tuple[int, bytes]]:
        """The output as (number of the stream, bytes). Raises _LateError at the deadline.

        Spoken with http.client, since the SDK's own way takes the socket out from under a reader that may have bytes
        in its buffer already, and cannot have a deadline.
        """
        connection = http.client.HTTPConnection("localhost")
        connection.sock = sock
        sock.settimeout(REQUEST_TIMEOUT_S)
        body = json.dumps({"Detach": False, "Tty": False})
        connection.request(
            "POST", f"/v{client.api_version}/exec/{exec_id}/start", body, {"Content-Type": "application/json"}
        )
        with closing(connection), connection.getresponse() as response:
            if response.status >= 300:
                text = response.read().decode("utf-8", "replace")
                raise HostError(
                    f"the Docker engine on {self._host} refused to run a command in {self._container}",
                    host=self._host,
                    tail=text.splitlines(),
                )
            pending = bytearray()
            while True:
                sock.settimeout(_left(deadline))
                try:
                    data = response.read1(65536)
                except TimeoutError as error:
                    raise _LateError from error
                if not data:
                    return
                pending += data
                while len(pending) >= 8:
                    end = 8 + int.from_bytes(pending[4:8], "big")
                    if len(pending) < end:
                        break
                    yield pending[0], bytes(pending[8:end])
                    del pending[:end]

    def _status(self, client: EngineClient, exec_id: str, deadline: float | None) -> int:
        """The exit status; the output may end a moment before the process does."""
        while (status := client.exec_inspect(exec_id)["ExitCode"]) is None:
            _left(deadline)
            time.sleep(0.02)
        return int(status)

    def _kill(self, pid: int) -> None:
        with suppress(Exception):  # the error that brought us here is the one to tell
            client = self._client()
            exec_id = client.exec_create(self._container, ["/bin/sh", "-c", f"kill -s KILL -- -{pid}"])["Id"]
            client.exec_start(exec_id, detach=True)


class _ProcessId:
    """Takes the first line off an exec's output, where that is a process id."""

    def __init__(self) -> None:
        self.number = 0
        self._line: bytes | None = b""

    def take(self, data: bytes) -> bytes:
        """What of `data` is the command's own output."""
        if self._line is None:
            return data
        self._line += data
        line, newline, rest = self._line.partition(b"\n")
        if not newline and line.isdigit():
            return b""
        if newline and line.isdigit():
            self.number = int(line)
        else:
            rest = self._line  # no shell in there: the engine's complaint
        self._line = None
        return rest


def _left(deadline: float | None) -> float | None:
    """The seconds until the deadline. Raises _LateError when there are none."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise _LateError
    return left
