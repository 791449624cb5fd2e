"""The measurements of deployments: one's, one run's, or two side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.deployment.store import Store
from provisioner.errors import StateError, UsageError
from provisioner.reporting import compare as comparing
from provisioner.reporting import events
from provisioner.reporting import report as reporting
from provisioner.reporting.compare import Comparison
from provisioner.reporting.report import Report


def report(name: str) -> Report:
    """The measurements of a deployment, or of one of its runs (NAME/RUN).

    Raises StateError when there is no such deployment or it has none, UsageError when there is no such run.
    """
    from provisioner.adapters.store import FolderStore

    name, _, run = name.partition("/")
    whole = measured(name, FolderStore.open(name, create=False))
    return _one_run(whole, run) if run else whole


def compare(first: str, second: str) -> Comparison:
    """Two deployments, or two runs (NAME/RUN), side by side. Raises what `report` raises for each."""
    return comparing.compare(report(first), report(second))


def measured(name: str, store: Store) -> Report:
    """What is kept in a deployment's folder. Raises StateError when that is nothing."""
    results = store.state.latest_results
    if not results:
        raise StateError(f"{name} has no measurements yet", f"`provisioner run {name}` makes them")
    return reporting.build(name, [events.measurement(result, _output(store, result)) for result in results])


def measured_in_this_life(name: str, store: Store) -> Report | None:
    """What is kept in a deployment's folder, when any of it was measured since the deployment was last begun."""
    return measured(name, store) if store.state.measured else None


def _output(store: Store, result: Mapping[str, Any]) -> list[str]:
    """What that run printed; nothing when its log was removed or it is from before runs had logs of their own."""
    path = store.folder / f"logs/{result.get('run')}.log"
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _one_run(whole: Report, run: str) -> Report:
    measurements = [one for one in whole.measurements if one.run == run]
    if not measurements:
        runs = ", ".join(one.run for one in whole.measurements if one.run)
        raise UsageError(f"{whole.name} has no run {run}", f"its runs are {runs or 'not numbered'}")
    return reporting.build(f"{whole.name}/{run}", measurements)
