"""Hosts for the steps: folders of this machine with its real shell, told to answer some commands in another way."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from provisioner.adapters.local import LocalConnection
from provisioner.errors import CommandError, ConnectError, ProvisionerError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.facts import FACTS_SCRIPT, Cpu
from provisioner.ports import Completed, OnLine

Answer = str | Completed | BaseException | Callable[[str], Any]


def cpus(nodes: int = 1, cores: int = 2, threads: int = 1, *, split: bool = False) -> tuple[Cpu, ...]:
    """`cores` on each node; the threads of a core adjacent (0 and 1), or split (0 and 0 + half)."""
    total = nodes * cores
    found = []
    for core in range(total):
        for thread in range(threads):
            number = core + thread * total if split else core * threads + thread
            found.append(Cpu(number, core, core // cores, core // cores))
    return tuple(sorted(found, key=lambda cpu: cpu.number))


def facts_output(
    home: Path | str,
    *,
    hostname: str = "web-1",
    cpus: Sequence[Cpu] = cpus(),
    programs: Sequence[str] = ("python3", "java", "numactl", "taskset"),
    flags: str = "flags\t\t: fpu avx512_bf16 amx_bf16",
    user: str = "root",
) -> str:
    """What FACTS_SCRIPT prints on such a host."""
    folder = "/sys/devices/system/cpu"
    siblings: dict[int, list[int]] = {}
    nodes: dict[int, list[int]] = {}
    for cpu in cpus:
        siblings.setdefault(cpu.core, []).append(cpu.number)
        nodes.setdefault(cpu.node, []).append(cpu.number)
    topology = []
    for cpu in cpus:
        others = ",".join(map(str, siblings[cpu.core]))
        topology.append(f"{folder}/cpu{cpu.number}/topology/thread_siblings_list:{others}")
        topology.append(f"{folder}/cpu{cpu.number}/topology/physical_package_id:{cpu.socket}")
    for node, numbers in nodes.items():
        topology.append(f"/sys/devices/system/node/node{node}/cpulist:{','.join(map(str, numbers))}")
    return "\n".join(
        [
            f"hostname={hostname}",
            "kernel=6.1.0-1",
            f"home={home}",
            f"user={user}",
            *(f"program={name}" for name in programs),
            "[os-release]",
            "ID=debian",
            'VERSION_ID="12"',
            "[cpuinfo]",
            "model name\t: A processor",
            flags,
            "[allowed]",
            f"Cpus_allowed_list:\t0-{len(cpus) - 1}",
            f"count: {len(cpus)}",
            "[topology]",
            *topology,
            "[memory]",
            "MemTotal:       25165824 kB",
            "[disk]",
            "Filesystem 1024-blocks Used Available Capacity Mounted on",
            "/dev/vda1 104857600 52428800 52428800 50% /",
        ]
    )


class FakeHost(LocalConnection):
    """Implements ports.Connection: a private home on this machine, and answers of the test's own.

    Attributes:
        commands: every command that was run.
        written: (path, mode) of every file that was put.
        answers: (regular expression, answer) pairs, the first that is found in a command counts: text is its output,
            an exception is raised, a function is called with the command. Others go to the real shell.
        scripts: (regular expression, text) pairs: what a file whose path it is found in becomes when it is put.
        pages: (address, port) -> the HTTP body that a connection to it gets; without one it is refused.
    """

    def __init__(self, name: str, home: Path, **facts: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        super().__init__(name, home)
        self.home = home
        self.commands: list[str] = []
        self.written: list[tuple[str, int]] = []
        self.answers: list[tuple[str, Answer]] = []
        self.scripts: list[tuple[str, str]] = []
        self.pages: dict[tuple[str, int], str | Callable[[], str]] = {}
        self.dialled: list[tuple[str, int]] = []
        self.facts = facts_output(home, **{"hostname": name, **facts})

    def run(
        self, command: str, *, timeout_s: float | None = 600, on_line: OnLine | None = None, check: bool = True
    ) -> Completed:
        if command == FACTS_SCRIPT:
            return Completed(0, self.facts)
        self.commands.append(command)
        for pattern, answer in self.answers:
            if re.search(pattern, command):
                return self._answer(answer, command, on_line, check)
        return super().run(command, timeout_s=timeout_s, on_line=on_line, check=check)

    def _answer(self, answer: Answer, command: str, on_line: OnLine | None, check: bool) -> Completed:
        if callable(answer):
            answer = answer(command)
        if isinstance(answer, BaseException):
            raise answer
        done = answer if isinstance(answer, Completed) else Completed(0, str(answer or ""))
        for line in done.output.splitlines():
            if on_line is not None:
                on_line(line)
        if check and done.status:
            tail = done.output.splitlines()[-20:]
            raise CommandError(f"{self.name}: it ended with {done.status}", host=self.name, tail=tail)
        return done

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        self.written.append((path, mode))
        replaced = next((text.encode() for pattern, text in self.scripts if re.search(pattern, path)), content)
        super().put(replaced, path, mode=mode)

    def dial(self, host: str, port: int) -> socket.socket:
        self.dialled.append((host, port))
        page = self.pages.get((host, port))
        body = page() if callable(page) else page
        if body is None:
            raise ConnectError(f"{self.name} refused a connection to {host}:{port}", host=self.name)
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            theirs.shutdown(socket.SHUT_WR)
            self._keep(theirs)
        return ours

    def content(self, path: str) -> str:
        """A file of the host, by its path below the home folder."""
        return (self.home / path).read_text()

    def _keep(self, far_end: socket.socket) -> None:
        """The far end stays open, or what the client sends would break its pipe."""
        self._ends = [*getattr(self, "_ends", []), far_end.dup()]


class FakeConnector:
    """Implements ports.Connector with hosts by their names. `failures` has errors for the next connections to each."""

    def __init__(self, *hosts: FakeHost) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.failures: dict[str, list[ProvisionerError]] = {}
        self.connected: list[str] = []
        self.closed = False

    def connect(self, host: HostAddress, *, ready_timeout_s: float) -> FakeHost:
        self.connected.append(host.name)
        if self.failures.get(host.name):
            raise self.failures[host.name].pop(0)
        return self.hosts[host.name]

    def close(self) -> None:
        self.closed = True
