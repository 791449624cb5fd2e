"""One systemd-nspawn and everything that runs inside it, held together by a cgroup of its own.

What is running is read from the kernel, never remembered, so a machine that another process started is seen and ended
all the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from provisioner.simulator.machines.booted_host import PATH, mounts, run, wait_until
from provisioner.simulator.machines.booted_network import remove_link

ENDING_S = 20.0
"""How long a killed process may take to be gone; more means that the kernel holds it."""
TIDYING_S = 2.0
"""How long nspawn may take to tidy up once its process 1 is gone."""
_NSPAWN_STATE = Path("/run/systemd/nspawn")

# nspawn ends with 133 when the machine reboots. It wants to be alone in its cgroup, so the loop has one beside it.
_SUPERVISE = """
echo 0 > "$0/loop/cgroup.procs" || exit
while :; do
    (echo 0 > "$0/nspawn/cgroup.procs" && exec "$@")
    status=$?
    [ "$status" = 133 ] || exit "$status"
done
"""
_JOIN = 'echo 0 > "$0/cgroup.procs" && exec "$@"'
# As the agent does it: the script becomes a file, so that its first line may name an interpreter.
_SCRIPT = """
HOME=$(getent passwd "$2" | cut -d: -f6)
file=$(mktemp /run/command.XXXXXX) && cat > "$file" && chmod 755 "$file" && cd "${1:-$HOME}" || exit
runuser -u "$2" -- /bin/sh -c "$file" < /dev/null
status=$?
rm -f "$file"
exit "$status"
"""


def end_cgroup(cgroup: Path) -> None:
    """Kill every process in a cgroup, wait until they are gone, remove it; gone already is fine."""
    if cgroup.exists():
        (cgroup / "cgroup.kill").write_text("1")
        if not wait_until(lambda: "populated 0" in (cgroup / "cgroup.events").read_text(), ENDING_S):
            raise RuntimeError(f"killed processes in {cgroup} did not end within {ENDING_S:.0f} s")
    # Where systemd's older hierarchy is mounted too, nspawn makes the same folders in it.
    unified = mounts("cgroup2")[0]
    for mount in [unified, *mounts("cgroup")]:
        for folder, _, _ in os.walk(mount / cgroup.relative_to(unified), topdown=False):
            os.rmdir(folder)


class Container:
    """A root folder that can be booted.

    Args:
        name: at most 12 characters, so that its link is called `vb-NAME`; no two on one machine.
        cgroup: its own cgroup, in one that several containers may share.
        environment: of its processes outside and of its process 1.
    """

    def __init__(
        self, name: str, cgroup: Path, root: Path, console: Path, bridge: str, environment: Mapping[str, str]
    ) -> None:
        self._name = name
        self._cgroup = cgroup
        self._root = root
        self._console = console
        self._bridge = bridge
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it; it boots by itself from here on."""
        self.end()
        for folder in (self._cgroup.parent, self._cgroup):
            folder.mkdir(exist_ok=True)
            controllers = (folder / "cgroup.controllers").read_text().split()
            (folder / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in controllers))
        for name in ("loop", "nspawn"):
            (self._cgroup / name).mkdir()
        command = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            f"--directory={self._root}",
            f"--machine={self._name}",
            f"--network-bridge={self._bridge}",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=read-only",
            "--capability=all",
            *(["--drop-capability=" + ",".join(missing)] if (missing := _missing_capabilities()) else []),
            "--system-call-filter=add_key keyctl bpf",  # Docker's containers: session keyrings, device rules
            "--setenv=TERM=dumb",
            *(f"--setenv={key}={value}" for key, value in self._environment.items()),
        ]
        # The unified hierarchy also where this machine still has the older ones: Docker needs nothing else then.
        settings = {"PATH": PATH, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with self._console.open("wb") as console:
            process = self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISE, str(self._cgroup), *command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl-C at the simulator is not for the machine
                env={**settings, **self._environment},
            )
        wait_until(lambda: self.running() or process.poll() is not None, ENDING_S)

    def running(self) -> bool:
        """Whether anything of it runs."""
        if self._process is not None:
            self._process.poll()  # one that ended by itself is no longer a zombie of ours
        with contextlib.suppress(FileNotFoundError):
            return "populated 1" in (self._cgroup / "cgroup.events").read_text()
        return False

    def power_off(self, deadline_s: float) -> None:
        """Ask it to shut down; returns when it has, or when the time is over."""
        if leader := self._leader():
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, signal.SIGRTMIN + 4)
            wait_until(lambda: not self.running(), deadline_s)

    def end(self) -> None:
        """Kill it and remove what the kernel and nspawn keep for it; gone already is fine."""
        if leader := self._leader():
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, signal.SIGKILL)  # nspawn then tidies up after itself
            wait_until(lambda: not self.running(), TIDYING_S)
        end_cgroup(self._cgroup)
        if self._process is not None:
            self._process.wait()
            self._process = None
        remove_link(f"vb-{self._name}")
        remove_nspawn_traces(self._name, self._root)

    def execute(self, script: str, timeout_s: float, folder: str, user: str) -> tuple[int | None, str]:
        """Run a script inside: (exit status, all that it printed); the status is None when it ran out of time.

        Processes that it leaves in the background go on, except after a timeout. Raises RuntimeError unless it is
        running.
        """
        leader = self._leader()
        if leader is None:
            raise RuntimeError(f"machine {self._name} is not running")
        cgroup = self._cgroup / f"command-{uuid.uuid4().hex[:8]}"
        cgroup.mkdir()
        command = ["nsenter", f"--target={leader}", "--all", "/bin/sh", "-c", _SCRIPT, "sh", folder, user]
        environment = {"PATH": PATH, "HOME": "/", "LANG": "C.UTF-8", **self._environment}
        # Output goes to a file: a pipe would stay open as long as any background process.
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _JOIN, str(cgroup), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )
            try:
                process.communicate(script.encode(), timeout=timeout_s)
                status: int | None = process.returncode
            except subprocess.TimeoutExpired:
                (cgroup / "cgroup.kill").write_text("1")
                process.communicate()
                status = None
            with contextlib.suppress(OSError):  # still in use by what the script left running
                cgroup.rmdir()
            output.seek(0)
            return status, output.read().decode(errors="replace")

    def _leader(self) -> int | None:
        """Its process 1, as this process numbers it."""
        depth = len(_namespaced_pids("self"))
        for pid in _processes(self._cgroup):
            numbers = _namespaced_pids(str(pid))
            if len(numbers) == depth + 1 and numbers[-1] == 1:
                return pid
        return None


def remove_nspawn_traces(name: str, root: Path) -> None:
    """What nspawn keeps for a machine, and leaves behind when it is killed."""
    for kind in ("propagate", "unix-export"):
        folder = _NSPAWN_STATE / kind / name
        if folder.is_mount():
            run("umount", "--lazy", str(folder))
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
    with contextlib.suppress(FileNotFoundError):
        status = root.stat()
        (_NSPAWN_STATE / "locks" / f"inode-{status.st_dev}:{status.st_ino}").unlink()


def _processes(cgroup: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(cgroup):
        with contextlib.suppress(OSError):  # the cgroup went away meanwhile
            yield from map(int, (Path(folder) / "cgroup.procs").read_text().split())


def _namespaced_pids(pid: str) -> list[int]:
    """A process' number in each process id namespace, from ours inwards; [] for one that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return [int(number) for number in line.split()[1:]]
    return []


def _missing_capabilities() -> list[str]:
    """Capabilities that this machine lacks itself (in a sandbox, say): nspawn fails when it is to hand those on."""
    all_names = set(run("setpriv", "--list-caps").split())
    dump = run("setpriv", "--dump").splitlines()
    held = next(line for line in dump if line.startswith("Capability bounding set:")).partition(": ")[2].split(",")
    return [f"CAP_{name.upper()}" for name in sorted(all_names.difference(held))]
