"""Looks after Spark's processes while a training is followed: one that ends is noticed within seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from provisioner.deployment.host import Host
from provisioner.errors import ConnectError, ProvisionerError
from provisioner.steps import background

EVERY_S = 3.0


@dataclass(frozen=True)
class EndedProcess:
    """A process of Spark's that was started and runs no more. `name` is master or workers."""

    host: Host
    name: str
    pid: str

    @property
    def noun(self) -> str:
        """One of them, in words."""
        return "master" if self.name == "master" else "worker"


def parse_ended(host: Host, output: str) -> EndedProcess | None:
    """The first that `background.ended_processes` printed."""
    for line in output.splitlines():
        name, _, pid = line.partition(" ")
        if name in ("master", "workers") and pid.isdigit():
            return EndedProcess(host, name, pid)
    return None


class Watch:
    """Asks every host every few seconds, in a thread of its own; calls `on_end` once, when something has ended.

    Spark itself may take minutes to notice that its master is gone, and says so in words of its own.
    """

    def __init__(self, hosts: Sequence[Host], on_end: Callable[[], None]) -> None:
        self.ended: EndedProcess | None = None
        self._hosts = hosts
        self._on_end = on_end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Look no more; what was begun because something had ended is done when this returns."""
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join(None if self.ended else EVERY_S)

    def _look(self) -> None:
        while self._hosts and not self._over.wait(EVERY_S):
            for host in self._hosts:
                if self._over.is_set():
                    return
                try:
                    look = background.ended_processes(host.work_folder)
                    output = host.shell().run(look, timeout_s=30, check=False).output
                except ConnectError:
                    continue  # the one who follows connects anew; a host that stays away ends the training by itself
                except ProvisionerError as error:
                    host.tell(f"Spark's processes could not be looked at: {error}")
                    continue
                ended = parse_ended(host, output)
                if ended and not self._over.is_set():
                    self.ended = ended
                    self._on_end()
                    return
