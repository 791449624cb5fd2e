"""A simulator in a process of its own, known by a folder: started once, found again, stopped, cleaned up after.

The folder holds `identity` (id and kind of machines), `ready` (pid, port; while it runs), `state` (what exists in it),
`log`, `lock`, and the machines' files.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.simulator.machines import KINDS, check_installed, factory, process_table

START_S = 60.0
STOP_S = 30.0
IDLE_EXIT_S = 600.0

_children: list[subprocess.Popen[bytes]] = []
"""Started by this process and meant to outlive it; those that end before are taken note of."""


@dataclass(frozen=True)
class Running:
    """A background simulator that answers."""

    pid: int
    port: int
    endpoint: str
    machines: str


def start(
    folder: Path,
    machines: str = "process",
    *,
    pace: float = 1.0,
    idle_exit_s: float = IDLE_EXIT_S,
    env: Mapping[str, str] | None = None,
) -> str:
    """The endpoint of the folder's simulator, which is started if none runs. Safe to call from several processes.

    What existed in one that was stopped or killed exists again.

    Args:
        folder: known to this simulator alone; made when missing.
        machines: what stands behind instances; one that runs already keeps its own.
        pace: as for server.Simulator.
        idle_exit_s: it ends by itself after so long without resources and calls.
        env: its environment; by default this one's without the cloud credentials, so that it accepts the fixed pair.

    Raises:
        NotInstalledError: its machines need a package that is not there.
        RuntimeError: it did not start; the message has the end of its log.
        ValueError: there are no machines of this kind.
    """
    if machines not in KINDS:
        raise ValueError(f"no machines of kind {machines!r}; there are {', '.join(KINDS)}")
    check_installed(machines)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        running = status(folder)
        if running:
            return running.endpoint
        identity = _identity(folder) or {"id": uuid.uuid4().hex[:12]}
        process_table.end(f"{identity['id']}/")
        identity["machines"] = machines
        _write(folder / "identity", identity)
        (folder / "ready").unlink(missing_ok=True)
        return _launch(folder, identity, pace, idle_exit_s, _environment(env))


def status(folder: Path) -> Running | None:
    """The folder's simulator, if it runs."""
    try:
        noted = json.loads((folder / "ready").read_text())
        pid, port = int(noted["pid"]), int(noted["port"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
    identity = _identity(folder)
    if identity is None or _start_time(pid) != noted["started"]:
        return None
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        health = _ask(port, "GET", "health")
        if health["id"] == identity["id"]:
            return Running(pid, port, f"http://127.0.0.1:{port}", health["machines"])
    return None


def stop(folder: Path) -> bool:
    """End the folder's simulator and its machines; whether one ran. What existed is kept for the next `start`."""
    if not folder.exists():
        return False
    with _locked(folder):
        return _stop(folder)


def clean(folder: Path) -> None:
    """End the folder's simulator, and everything that one left that was killed; then delete the folder.

    Raises RuntimeError when processes of its machines do not end.
    """
    if not folder.exists():
        return
    with _locked(folder):
        _stop(folder)
        identity = _identity(folder)
        if identity is not None:
            process_table.end(f"{identity['id']}/")
            factory(identity["machines"], identity["id"], folder / "machines", ssh_port=0).clean()
        shutil.rmtree(folder, ignore_errors=True)


def write_ready(path: Path, port: int) -> None:
    """Tell `start` that this process listens."""
    pid = os.getpid()
    _write(path, {"pid": pid, "started": _start_time(pid), "port": port})


def _launch(folder: Path, identity: dict[str, str], pace: float, idle_exit_s: float, env: dict[str, str]) -> str:
    command = [
        sys.executable, "-m", "provisioner.simulator",
        "--id", identity["id"], "--machines", identity["machines"], "--pace", str(pace),
        "--folder", str(folder), "--state", str(folder / "state"), "--ready-file", str(folder / "ready"),
        "--idle-exit", str(idle_exit_s),
    ]  # fmt: skip
    with (folder / "log").open("ab") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=env, start_new_session=True
        )
    _children.append(child)
    deadline = time.monotonic() + START_S
    while child.poll() is None and time.monotonic() < deadline:
        running = status(folder)
        if running:
            return running.endpoint
        time.sleep(0.02)
    if child.poll() is None:
        child.kill()
        child.wait()
    tail = (folder / "log").read_text(errors="replace").strip().splitlines()[-5:]
    raise RuntimeError(f"the simulator in {folder} did not start; its log ends: {' | '.join(tail)}")


def _stop(folder: Path) -> bool:
    running = status(folder)
    if running is None:
        _take_note()
        return False
    try:
        handle = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return True
    try:
        with contextlib.suppress(OSError, http.client.HTTPException):
            _ask(running.port, "POST", "shutdown")
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                if number is not None:
                    signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], STOP_S)[0]:
                break
    finally:
        os.close(handle)
    (folder / "ready").unlink(missing_ok=True)
    _take_note()
    return True


def _take_note() -> None:
    """Let go of started processes that have ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """For the child: it finds this package wherever it was imported from, and nobody's cloud credentials."""
    chosen = (
        {name: text for name, text in os.environ.items() if not name.startswith("ALIBABA_CLOUD_")}
        if env is None
        else dict(env)
    )
    source = str(Path(__file__).parents[2])
    chosen["PYTHONPATH"] = os.pathsep.join(filter(None, (source, chosen.get("PYTHONPATH"))))
    return chosen


def _identity(folder: Path) -> dict[str, str] | None:
    try:
        identity: dict[str, str] = json.loads((folder / "identity").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return identity


def _ask(port: int, method: str, name: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, f"/_simulator/{name}")
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" for none: with the pid it names a process for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _write(path: Path, content: Any) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content))
    os.replace(temporary, path)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One at a time; the lock ends with its process."""
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
