"""A simulator in this process, and the program in processes of its own that call it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from provisioner import steps
from provisioner.inventory import load
from provisioner.operations import opening
from provisioner.runner import Runner
from provisioner.simulator.server import Simulator
from provisioner.step import Plan
from tests.support.cli import PATIENCE_S, ROOT, Done, command, environment, provisioner

INVENTORY = """\
name: {name}
provider: simulator
runtime: host
cloud: {{instance_types: [ecs.hfc7.large, ecs.hfg7.large], auto_release_hours: 1{cloud}}}
ssh: {{port: {port}}}
{more}
"""
NETWORK_AND_INSTANCES = 2
"""How many phases that is."""

ONE_OF_EACH = {"vpc": 1, "vswitch": 1, "security-group": 1, "key-pair": 1, "instance": 1, "disk": 1}


class Site:
    """Processes against one simulator; whatever still runs at the end is ended."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []

    # ------------------------------------------------------------------------------------------------- processes

    def inventory(self, name: str = "demo", *, cloud: str = "", port: int = 2222, more: str = "") -> Path:
        """An inventory file; `cloud` is more of that section (`, count: 2`), `more` other sections."""
        path = self.folder / f"{name}.yaml"
        path.write_text(INVENTORY.format(name=name, cloud=cloud, port=port, more=more))
        return path

    def environment(self, **more: str) -> dict[str, str]:
        """What every process gets."""
        return environment(**{"PROVISIONER_ENDPOINT": self.simulator.endpoint, **more})

    def run(self, *arguments: object, **more: Any) -> Done:
        """The command line, to its end."""
        return provisioner(*arguments, PROVISIONER_ENDPOINT=self.simulator.endpoint, **more)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """The command line, going on."""
        return self._start(command(*arguments))

    def partial(self, *arguments: object, **more: str) -> subprocess.Popen[str]:
        """The first phases of `up` (tests.support.partial), going on; `more` goes into its environment."""
        return self._start([sys.executable, "-m", "tests.support.partial", *map(str, arguments)], **more)

    def up(self, inventory: Path, phases: int = NETWORK_AND_INSTANCES) -> dict[str, int]:
        """The first phases of `up`, to their end, in this process, which has loaded all that they need; what they
        changed."""
        with (
            patch.dict(os.environ, PROVISIONER_ENDPOINT=self.simulator.endpoint),
            opening.opened(load(inventory), lambda event: None, create=True) as (session, emit),
        ):
            full = steps.plan(session)
            outcome = Runner(session, Plan(full.name, full.phases[:phases]), emit).up()
        return {"changed": outcome.changed, "present": outcome.present}

    def _start(self, words: list[str], **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Under `nohup` a closed terminal is ignored, which processes inherit, and ours take as it is meant.
            preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
        )
        self._started.append(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for a process; its exit code, output and errors."""
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    def kill(self, process: subprocess.Popen[str]) -> None:
        """As the kernel does when memory runs out."""
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate(timeout=PATIENCE_S)

    # ------------------------------------------------------------------------------------------------- the simulator

    def faults(self, *faults: dict[str, Any]) -> None:
        """What goes wrong from now on."""
        self.simulator.set_faults(faults)

    def kinds(self, name: str = "demo") -> Counter[str]:
        """How many there are of each kind with a deployment's tag."""
        return Counter(r["kind"] for r in self.simulator.resources if r["tags"].get("provisioner:name") == name)

    def actions(self) -> list[str]:
        """Every call so far."""
        return [call["action"] for call in self.simulator.calls]

    def until(self, condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> None:
        """Wait for what another process does; fails when that process ends instead."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "it never came so far"
            if process is not None and process.poll() is not None and not condition():
                raise AssertionError(f"it ended: {process.communicate()}")
            time.sleep(0.01)
