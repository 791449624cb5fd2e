"""What booted machines use of the machine they run on: its programs, its cgroups, and locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = {  # program -> Debian package
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "systemd-nspawn": "systemd-container",
}


def missing_requirements() -> str:
    """What this machine lacks for booting machines, as one sentence that says what to do; "" when it lacks nothing."""
    if os.geteuid() != 0:
        return "booted machines need root: run as root, or use process machines"
    if missing := [package for tool, package in TOOLS.items() if shutil.which(tool, path=PATH) is None]:
        return f"booted machines need programs that are not installed here: apt-get install {' '.join(missing)}"
    if not mounts("cgroup2"):
        return "booted machines need the unified cgroup hierarchy: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
    return ""


def mounts(kind: str) -> list[Path]:
    """Where file systems of a kind are mounted."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(folder) for _, folder, type_, *_ in lines if type_ == kind]


def run(*command: str) -> str:
    """Run a program to its end; its output. Raises RuntimeError with what it said."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={"PATH": PATH, "LC_ALL": "C"}
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait_until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Wait for a condition; whether it came before the deadline."""
    end = time.monotonic() + deadline_s
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return met


def cache_folder() -> Path:
    """Where trees and locks are kept; made when it is not there, for its owner alone."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "provisioner" / "booted"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(name: str) -> Iterator[int]:
    """Hold a lock against other threads and processes; gives its file descriptor. It ends with its last holder."""
    with open(cache_folder() / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
