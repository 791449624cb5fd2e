"""Measure again on a deployment that was kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from provisioner import inventory, steps
from provisioner.errors import StateError, UsageError
from provisioner.inventory.spec import WorkloadSpec
from provisioner.operations import opening
from provisioner.operations.report import measured_in_this_life
from provisioner.reporting.report import Report
from provisioner.runner import Event, Runner
from provisioner.step import Plan


def run(
    name: str, changes: Mapping[str, Any] | None = None, emit: Callable[[Event], None] = lambda event: None
) -> Report | None:
    """Train or infer once more, on the deployment `name`; what is measured by then in its present life.

    Args:
        name: the deployment's.
        changes: fields of the inventory's `workload` that differ this time, as `{"mode": "infer", "steps": 200}`.
        emit: hears what happens, from several threads.

    Raises:
        UsageError: the changes do not make a workload.
        StateError: there is no such deployment, or it was removed.
    """
    saved = opening.saved_spec(name, whole=True)
    spec = saved.model_copy(update={"workload": changed(saved.workload, changes or {})})
    inventory.check_workload(spec)
    with opening.opened(spec, emit, create=False) as (session, record):
        if session.store.state.removed_at:
            raise StateError(f"{name} was removed", "`provisioner up` makes it anew")
        if spec.creates_instances:
            _ = session.cloud  # verified to be the one it lives in
        full = steps.plan(session)
        ready = tuple(phase for phase in full.phases if phase.name not in ("network", "instances", "training"))
        Runner(session, Plan(name, (*ready, steps.training(session, again=True))), record).up()
        return measured_in_this_life(name, session.store)


def changed(workload: WorkloadSpec, changes: Mapping[str, Any]) -> WorkloadSpec:
    """A workload with some of its fields changed, checked as in an inventory. Raises UsageError for a wrong one."""
    kept = workload.model_dump()
    # The length is said in one of the two.
    del kept["steps" if kept["epochs"] and not changes.get("steps") else "epochs"]
    try:
        return WorkloadSpec.model_validate({**kept, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
