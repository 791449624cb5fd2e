"""The folder of one deployment, as the rest of the program sees it; `adapters/store.py` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from provisioner.deployment.state import State
from provisioner.secret import Secret


class Store(Protocol):
    """The folder of one deployment: what the cloud cannot keep for us.

    Every write is atomic and on the disk when the method returns. Safe to use from several threads.
    """

    folder: Path

    @property
    def state(self) -> State:
        """What is kept, to be read and not changed. Raises StateError for a deployment that never began."""
        ...

    def changing(self) -> AbstractContextManager[State]:
        """A copy of the state to change; it is the state once the block has ended, and is on the disk."""
        ...

    def begin_removal(self) -> None:
        """From now on a change of the state that cannot be written is kept in memory, and does not raise.

        Nothing may be created that is not recorded first; but what exists and is to go is known by its tags.
        """
        ...

    def secret(self, name: str) -> Secret:
        """A generated secret that stays the same for the life of the deployment; a file of its own, 0600."""
        ...

    def host_keys(self, address: str, port: int) -> list[str]:
        """The public keys (`TYPE BASE64`) that known_hosts has for a host; [] when it has none."""
        ...

    def add_host_keys(self, address: str, port: int, keys: Sequence[str]) -> None:
        """Put a host's public keys (`TYPE BASE64` lines) into known_hosts, in place of any older ones."""
        ...

    def write(self, name: str, content: str | bytes, *, mode: int = 0o600) -> Path:
        """A file of the deployment (rendered, results, logs), by its name relative to the folder."""
        ...

    def append(self, name: str, line: str) -> None:
        """A line at the end of a file of the deployment."""
        ...
