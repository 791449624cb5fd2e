"""Processes of machines, found by the mark in their environment, wherever they have gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from provisioner.simulator.machines import MARKER

GRACE_S = 2.0
LIMIT_S = 20.0


def marked(mark: str) -> set[int]:
    """Ids of this user's processes marked `mark`, or below it when it ends in `/`. Zombies have no mark any more."""
    return {int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and _has(folder, mark)}


def end(mark: str) -> None:
    """End all processes with a mark, daemonised ones too: SIGTERM, SIGKILL two seconds later, until none is left.

    Raises RuntimeError when some will not go.
    """
    started = time.monotonic()
    terminated: set[int] = set()
    pause_s = 0.005
    empty = 0
    while empty < 2:  # in the instant of its exec a process shows no environment: one empty look does not count
        pids = marked(mark)
        empty = 0 if pids else empty + 1
        waited_s = time.monotonic() - started
        if waited_s > LIMIT_S:
            raise RuntimeError(f"processes marked {mark} do not end: {sorted(pids)}")
        for pid in pids:
            if waited_s > GRACE_S:
                _send(pid, mark, signal.SIGKILL)
            elif pid not in terminated:
                _send(pid, mark, signal.SIGTERM)
        terminated |= pids
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.1)


def _has(folder: Path, mark: str) -> bool:
    variable = f"\0{MARKER}={mark}".encode() + (b"" if mark.endswith("/") else b"\0")
    try:
        return folder.stat().st_uid == os.getuid() and variable in b"\0" + (folder / "environ").read_bytes()
    except OSError:  # it ended meanwhile, or is not ours to read
        return False


def _send(pid: int, mark: str, number: signal.Signals) -> None:
    """Signal a process, unless another one has got its id since it was looked up."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if _has(Path(f"/proc/{pid}"), mark):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
