"""What the tests on booted machines share: logging in, running a script that must succeed, looking for traces."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from provisioner.simulator.machines.booted import BootedMachine

Provisioner = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs the command line and checks its exit code (`status`, 0 unless told)."""


def require(missing: str) -> None:
    """Skip for the reason given, or fail for it where every tier has to run; do nothing for ""."""
    if missing:
        (pytest.fail if os.environ.get("PROVISIONER_REQUIRE_TIERS") == "1" else pytest.skip)(missing)


@dataclass(frozen=True)
class Login:
    """A key pair for root."""

    private: paramiko.PKey
    public: str

    def connect(self, address: str, host_keys: str) -> paramiko.SSHClient:
        """Connected as root; only a host key out of `host_keys` (`TYPE BASE64 COMMENT` lines) is accepted."""
        client = paramiko.SSHClient()
        for line in host_keys.splitlines():
            entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{address} {line}")
            assert entry is not None, line
            client.get_host_keys().add(address, entry.key.get_name(), entry.key)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(address, username="root", pkey=self.private, allow_agent=False, look_for_keys=False, timeout=10)
        return client


def output(machine: BootedMachine, script: str, timeout_s: float = 240) -> str:
    """What a script prints that has to succeed."""
    status, text = machine.run_command(script, timeout_s)
    assert status == 0, f"{script}\nended with {status}:\n{text[-3000:]}"
    return text


def host_keys(machine: BootedMachine) -> str:
    """Its public host keys, read as the program reads them: through Cloud Assistant."""
    return output(machine, "cat /etc/ssh/ssh_host_*_key.pub")


def install_docker(machine: BootedMachine) -> None:
    """The engine by apt, and the machine's own tree as image debian:13: no image can be pulled in a test."""
    install = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends"
    output(machine, f"apt-get update && {install} docker.io docker-cli")
    output(
        machine,
        "tar --create --one-file-system --directory=/ --exclude=./var/lib/docker --exclude=./var/lib/containerd "
        "--exclude=./var/cache/apt/archives/*.deb --exclude=./usr/sbin/dockerd --exclude=./usr/bin/containerd . "
        "| docker import - debian:13",
    )


def build_image(machine: BootedMachine, tag: str, dockerfile: str) -> None:
    """`docker build` with no context but the Dockerfile."""
    output(machine, f"docker build --tag {tag} - <<'END'\n{dockerfile}\nEND")


PYTHON_IMAGE = """
FROM debian:13
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip python-is-python3 \\
    && rm /usr/lib/python3*/EXTERNALLY-MANAGED
"""
"""Stands in for python:3.11-slim and its like: `python` (Debian's 3.13) and `pip` on the path, pip free to install."""


class Traces:
    """All that machines in a folder have on this machine, by kind. Other people's machines are not in it."""

    def __init__(self, folder: Path, bridge: str) -> None:
        self._folder = folder
        self._key = bridge.removeprefix("br-")
        self._seen_pids: set[tuple[int, str]] = set()
        self._seen_namespaces: set[str] = set()
        self._seen_roots: set[str] = set()

    def now(self) -> dict[str, list[str]]:
        """What there is now, also of processes, namespaces and root folders that an earlier call saw."""
        cgroups = [path for path in Path("/sys/fs/cgroup").glob(f"**/*{self._key}*") if path.is_dir()]
        for cgroup in cgroups:
            for procs in cgroup.glob("**/cgroup.procs"):
                for pid in map(int, procs.read_text().split()):
                    self._seen_pids.add((pid, _start_time(pid)))
                    self._seen_namespaces.add(_namespace(pid))
        self._seen_namespaces -= {_namespace(os.getpid()), ""}
        alive = {_namespace(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
        roots = [path.stat() for path in self._folder.glob("*/*/root")]
        self._seen_roots |= {f"inode-{root.st_dev}:{root.st_ino}" for root in roots}
        nspawn = [path.name for path in Path("/run/systemd/nspawn").glob("*/*")]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        rules = _lines("iptables-save")
        return {
            "processes": [str(pid) for pid, start in self._seen_pids if start and start == _start_time(pid)],
            "network namespaces": sorted(self._seen_namespaces & alive),
            "cgroups": list(map(str, cgroups)),
            "links": [name for name in os.listdir("/sys/class/net") if self._key in name],
            "rules": [line for line in rules if self._key in line],
            "routes": [line for line in _lines("ip", "route") if self._key in line],
            "mounts": [line for line in mounts if self._key in line or str(self._folder) in line],
            "nspawn": [name for name in nspawn if self._key in name or name in self._seen_roots],
            "files": [str(path) for path in self._folder.glob("*")],
        }


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _start_time(pid: int) -> str:
    """Tells two processes of the same number apart; "" for one that is gone, or dead with only init to notice."""
    try:
        state, parent, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" and int(parent) != os.getpid() else rest[17]


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""
