"""What was measured, and the logs of the runs that measured it: they outlive the hosts and the lives of a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioner.deployment.store import Store


class Results:
    """The measurements of one deployment."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def measured(self) -> tuple[Mapping[str, Any], ...]:
        """What was measured in this life."""
        return self._store.state.measured

    def next_run(self, name: str) -> str:
        """A name for a run that no other run of this deployment has, nor had in an earlier life: `NAME-NUMBER`."""
        with self._store.changing() as state:
            number = state.runs.get(name, 0) + 1
            state.runs = {**state.runs, name: number}
        return f"{name}-{number}"

    def keep(self, result: Mapping[str, Any]) -> None:
        """Keep a measurement."""
        with self._store.changing() as state:
            state.results = (*state.results, {"life": state.run_id, **result})

    def log_of(self, run: str) -> Path:
        """The file that has the whole output of a run."""
        return self._store.folder / _log(run)

    def begin_log(self, run: str) -> None:
        """Empty a run's log: who follows a run hears it from its first line on."""
        self._store.write(_log(run), "")

    def log(self, run: str, line: str) -> None:
        """Add a line to a run's log."""
        self._store.append(_log(run), line)


def _log(run: str) -> str:
    return f"logs/{run}.log"
