"""The machines that stand behind instances.

`none`: no machine at all, for tests of the API alone. `process`: an SSH server in this process, commands in a private
folder. `booted`: a whole system under systemd-nspawn. All of them keep what they make below one folder, so that
`Machines.clean` of a later process can take down what a killed one left.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

MARKER = "PROVISIONER_SIMULATOR_MACHINE"
"""Environment variable of every process that a machine runs: `SIMULATOR_ID/INSTANCE_ID`."""

KINDS = ("none", "process", "booted")


class Machine(Protocol):
    """What an instance runs on. Calls for one machine come one at a time, except `run_command` and `console`.

    `public_ip` and `private_ip` are known from creation on and stay until removal. A `private_ip` of "" lets the
    VSwitch choose an address. All methods may block; the simulator calls them outside of its lock.
    """

    public_ip: str
    private_ip: str

    def start(self, user_data: str, authorized_keys: Sequence[str], hostname: str, user: str = "root") -> None:
        """Boot it; returns when its SSH server answers (or is sure to), raises OSError or RuntimeError when it cannot.

        Args:
            user_data: decoded text to run at this boot; "" for none (it is passed for the first boot only).
            authorized_keys: public keys (`TYPE BASE64` lines) that may log in.
            hostname: the instance's HostName.
            user: whom the keys let in: root, or ecs-user, who has sudo (ImageOptions.LoginAsNonRoot).
        """
        ...

    def stop(self) -> None:
        """Power it off: nothing of it runs or listens any more, its files stay. A stopped machine may start again."""
        ...

    def remove(self) -> None:
        """Stop it and take away its files and addresses. Gone already is fine."""
        ...

    def run_command(self, script: str, timeout_s: float, *, folder: str = "", user: str = "") -> tuple[int | None, str]:
        """Cloud Assistant: run a shell script inside; (exit status, output), with None for one that ran out of time."""
        ...

    def console(self) -> str:
        """What it has printed since its last boot."""
        ...


class Machines(Protocol):
    """Makes machines, and knows how to end all of them."""

    def create(self, instance_id: str) -> Machine:
        """A new machine, not running yet; one that an earlier simulator with this folder left is taken over."""
        ...

    def clean(self) -> None:
        """End every machine below this factory's folder, also those of a simulator that was killed."""
        ...


class NotInstalledError(RuntimeError):
    """A kind of machines needs a package that is not installed; the message says how to get it."""


def check_installed(kind: str) -> None:
    """Raises NotInstalledError when machines of this kind need a package that is not there."""
    if kind == "process" and find_spec("asyncssh") is None:
        raise NotInstalledError(
            "the simulator's machines need asyncssh, which is not installed: pip install 'provisioner[simulator]'"
        )


def factory(kind: str, simulator_id: str, folder: Path, *, ssh_port: int) -> Machines:
    """The machines of a kind (one of KINDS). Everything they make lies below `folder` and carries `simulator_id`.

    Raises NotInstalledError as `check_installed`, ValueError for another kind.
    """
    check_installed(kind)
    if kind == "none":
        from provisioner.simulator.machines.none import NoMachines

        return NoMachines()
    if kind == "process":
        from provisioner.simulator.machines.process import ProcessMachines

        return ProcessMachines(simulator_id, folder, ssh_port=ssh_port)
    if kind == "booted":
        from provisioner.simulator.machines.booted import BootedMachines

        return BootedMachines(simulator_id, folder)
    raise ValueError(f"no machines of kind {kind!r}; there are {', '.join(KINDS)}")
