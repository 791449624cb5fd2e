"""The machines behind the instances, worked on in the background so that no API call waits for one."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from provisioner.simulator.machines import Machine, Machines

log = logging.getLogger(__name__)


class Fleet:
    """Runs each machine's starts, stops and removal one after the other, different machines side by side.

    Args:
        machines: makes them.
        lock: held while the results of commands are written.
    """

    def __init__(self, machines: Machines, lock: threading.RLock) -> None:
        self._factory = machines
        self._lock = lock
        self._machines: dict[str, Machine] = {}
        self._last: dict[str, Future[None]] = {}
        self._up: set[str] = set()
        self._failures: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="machine")

    def create(self, instance_id: str) -> tuple[str, str]:
        """Set a machine aside; its (public, private) addresses."""
        machine = self._factory.create(instance_id)
        self._machines[instance_id] = machine
        return machine.public_ip, machine.private_ip

    def start(self, instance_id: str, user_data: str, public_keys: list[str], hostname: str, user: str) -> None:
        """Begin to boot; arguments as for `Machine.start`."""
        machine = self._machines[instance_id]

        def work() -> None:
            machine.start(user_data, public_keys, hostname, user)
            self._up.add(instance_id)

        self._queue(instance_id, work)

    def stop(self, instance_id: str) -> None:
        """Begin to power off."""
        self._up.discard(instance_id)
        self._queue(instance_id, self._machines[instance_id].stop)

    def remove(self, instance_id: str) -> None:
        """Begin to take away."""
        self._up.discard(instance_id)
        self._queue(instance_id, self._machines.pop(instance_id).remove)

    def ready(self, instance_id: str) -> bool:
        """Whether the machine is up and takes commands."""
        return instance_id in self._up

    def console(self, instance_id: str) -> str:
        """What it printed, and what kept it from starting, stopping or going away."""
        return self._machines[instance_id].console() + self._failures.get(instance_id, "")

    def run_command(
        self,
        instance_id: str,
        script: str,
        timeout_s: float,
        done: Callable[[int | None, str], None],
        *,
        folder: str,
        user: str,
    ) -> None:
        """Begin a command in a thread of its own: it may take as long as its time allows."""
        machine = self._machines[instance_id]

        def work() -> None:
            try:
                exit_code, output = machine.run_command(script, timeout_s, folder=folder, user=user)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                exit_code, output = 255, f"the machine failed: {error}"
            with self._lock:
                done(exit_code, output)

        threading.Thread(target=work, name=f"command-{instance_id}", daemon=True).start()

    def close(self) -> None:
        """Stop every machine and wait until all are off. Files of those that were not removed stay."""
        for instance_id in list(self._machines):
            self.stop(instance_id)
        self._pool.shutdown(wait=True)
        self._machines.clear()

    def _queue(self, instance_id: str, work: Callable[[], None]) -> None:
        before = self._last.get(instance_id)

        def run() -> None:
            if before is not None:
                before.result()  # was handed to the pool earlier, so it runs already or is done
            try:
                work()
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                log.exception("the machine of %s failed", instance_id)
                self._failures[instance_id] = f"the simulator's machine failed: {error}\n"

        self._last[instance_id] = self._pool.submit(run)
