"""Machines that are whole systems: a Debian tree booted under systemd-nspawn, with systemd, sshd and apt inside.

Each has a network namespace and an address of its own on one bridge, which masquerading connects to the package
indexes. Needs root. Everything that the kernel holds for the machines of a folder is named after that folder, so they
are found and ended without knowing what an earlier process made; see `BootedMachines.clean`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from provisioner.simulator.machines import MARKER, booted_tree
from provisioner.simulator.machines.booted_host import missing_requirements, mounts, wait_until
from provisioner.simulator.machines.booted_network import Network
from provisioner.simulator.machines.booted_nspawn import Container, end_cgroup, remove_nspawn_traces

BOOT_S = 120.0
"""How long a machine may take until its SSH server answers."""
POWER_OFF_S = 20.0
"""How long it may take to shut down before it is cut off."""
FIRST_HOST = 10
"""The lowest host number in a subnet that a machine gets."""


class BootedMachine:
    """One of them; made by `BootedMachines.create`."""

    def __init__(self, machines: BootedMachines, instance_id: str, folder: Path, address: IPv4Address) -> None:
        self.public_ip = self.private_ip = str(address)
        self._machines = machines
        self._instance_id = instance_id
        self._folder = folder
        self._root = folder / "root"
        self._container = machines.container(instance_id, folder, address)

    def start(self, user_data: str, authorized_keys: Sequence[str], hostname: str, user: str = "root") -> None:
        """Boot it, and wait for its SSH server, which comes after host keys and login keys are in place.

        cloud-init runs the user data, at the first boot only. Raises RuntimeError with the last lines of the console.
        """
        if not self._container.running():
            if not self._root.exists():
                self._install(user_data)
            self._settle(authorized_keys, hostname, user)
            self._container.boot()
        wait_until(lambda: self._answers() or not self._container.running(), BOOT_S)
        if not self._answers():
            tail = "\n".join(self.console().splitlines()[-15:])
            raise RuntimeError(f"no SSH server came up on {self._instance_id}; its console ends with:\n{tail}")

    def stop(self) -> None:
        """Shut it down; what does not end in time is killed."""
        self._container.power_off(POWER_OFF_S)
        self._container.end()

    def remove(self) -> None:
        """Kill it and take away everything of it; the network goes with the last machine."""
        self._container.end()
        self._machines.forget(self._folder)

    def run_command(self, script: str, timeout_s: float, *, folder: str = "", user: str = "") -> tuple[int | None, str]:
        """Run a script inside as the agent of Cloud Assistant does: in the user's home folder unless told otherwise."""
        return self._container.execute(script, timeout_s, folder, user or "root")

    def console(self) -> str:
        """What it has printed since its last boot."""
        path = self._folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _install(self, user_data: str) -> None:
        """Its own copy of the tree (0.5 s, 260 MB), with the user data where cloud-init looks for it (NoCloud)."""
        copying = self._folder / "copying"
        if copying.exists():
            shutil.rmtree(copying)
        tree = booted_tree.cached_tree()
        subprocess.run(["cp", "--archive", "--reflink=auto", str(tree), str(copying)], check=True)
        seed = "var/lib/cloud/seed/nocloud"
        booted_tree.write(copying, f"{seed}/meta-data", json.dumps({"instance-id": self._instance_id}))
        booted_tree.write(copying, f"{seed}/user-data", user_data)
        copying.rename(self._root)

    def _settle(self, authorized_keys: Sequence[str], hostname: str, user: str) -> None:
        """What the cloud tells a machine at each boot: its name, its network, who may log in."""
        subnet = self._machines.subnet
        files = {
            "etc/hostname": f"{hostname}\n",
            "etc/hosts": f"127.0.0.1 localhost\n{self.private_ip} {hostname}\n",
            "etc/resolv.conf": _name_servers(),
            "etc/systemd/network/10-host0.network": "[Match]\nName=host0\n[Network]\nLinkLocalAddressing=no\n"
            f"Address={self.private_ip}/{subnet.prefixlen}\nGateway={subnet[1]}\n",
        }
        for path, text in files.items():
            booted_tree.write(self._root, path, text)
        home = self._root / booted_tree.HOMES[user]
        keys = home / ".ssh/authorized_keys"
        present = keys.read_text().splitlines() if keys.is_file() else []
        lines = [*present, *(key for key in authorized_keys if key not in present)]
        name = str(keys.relative_to(self._root))
        booted_tree.write(self._root, name, "".join(f"{line}\n" for line in lines), mode=0o600)
        keys.parent.chmod(0o700)
        for owned in (keys, keys.parent):
            os.chown(owned, home.stat().st_uid, home.stat().st_gid)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.private_ip, 22), timeout=0.5) as connection:
            return connection.recv(4) == b"SSH-"
        return False


class BootedMachines:
    """The booted machines of one simulator.

    Args:
        simulator_id: marks their processes (MARKER).
        folder: everything of theirs on the disk lies below it; their names in the kernel derive from its path.

    Raises RuntimeError, one sentence that says what to install, where machines cannot be booted.
    """

    def __init__(self, simulator_id: str, folder: Path) -> None:
        if missing := missing_requirements():
            raise RuntimeError(missing)
        self._simulator_id = simulator_id
        self._folder = folder.resolve() / "booted"
        self._key = "s" + hashlib.sha256(str(self._folder).encode()).hexdigest()[:6]
        self._cgroup = mounts("cgroup2")[0] / f"provisioner-{self._key}"
        self._network = Network(self._key)
        self.bridge = self._network.bridge
        self._lock = threading.Lock()  # over which machines there are, and the network that goes with the last

    @property
    def subnet(self) -> IPv4Network:
        """The addresses of the machines' network; kept as long as there is a machine."""
        return IPv4Network((self._folder / "subnet").read_text())

    def create(self, instance_id: str) -> BootedMachine:
        """A new machine with its address, or the one of this name that an earlier process left."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", instance_id):
            raise ValueError(f"{instance_id!r} is no instance id")
        with self._lock:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            before = self.subnet if (self._folder / "subnet").exists() else None
            subnet = self._network.up(before)
            (self._folder / "subnet").write_text(str(subnet))
            taken = {int(folder.name.split("@")[0]): folder for folder in self._machine_folders()}
            for number, folder in taken.items():
                if folder.name.split("@")[1] == instance_id:
                    return BootedMachine(self, instance_id, folder, subnet[number])
            free = [number for number in range(FIRST_HOST, 255) if number not in taken]
            if not free:
                raise RuntimeError(f"all addresses of {subnet} are taken by booted machines")
            folder = self._folder / f"{free[0]}@{instance_id}"
            folder.mkdir()
            return BootedMachine(self, instance_id, folder, subnet[free[0]])

    def clean(self) -> None:
        """End and remove every machine of this folder and their network, whoever started them."""
        with self._lock:
            end_cgroup(self._cgroup)
            for folder in self._machine_folders():
                remove_nspawn_traces(f"{self._key}-{folder.name.split('@')[0]}", folder / "root")
            self._remove_rest()

    def forget(self, folder: Path) -> None:
        """Remove the folder of a machine that has ended; called by the machine itself."""
        if (folder / "root").exists():  # takes seconds after Docker: others need not wait for it
            shutil.rmtree(folder / "root")
        with self._lock:
            if folder.exists():
                shutil.rmtree(folder)
            if not self._machine_folders():
                self._remove_rest()

    def container(self, instance_id: str, folder: Path, address: IPv4Address) -> Container:
        """What runs the machine with this address."""
        name = f"{self._key}-{int(address) & 0xFF}"
        return Container(
            name,
            cgroup=self._cgroup / name,
            root=folder / "root",
            console=folder / "console.log",
            bridge=self.bridge,
            environment={MARKER: f"{self._simulator_id}/{instance_id}"},
        )

    def _machine_folders(self) -> list[Path]:
        return sorted(self._folder.glob("*@*"))

    def _remove_rest(self) -> None:
        self._network.down()
        end_cgroup(self._cgroup)
        if self._folder.exists():
            shutil.rmtree(self._folder)


def _name_servers() -> str:
    """The name servers that this machine asks; where a local resolver stands before them, those behind it."""
    behind = Path("/run/systemd/resolve/resolv.conf")
    text = (behind if behind.exists() else Path("/etc/resolv.conf")).read_text()
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith(("nameserver", "search", "options")))
