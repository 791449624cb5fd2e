"""`run`: measure again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.options import Json, Name
from provisioner.errors import StateError, UsageError

if TYPE_CHECKING:
    from provisioner.inventory.spec import Spec


def run(
    name: Name,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16, or both with a comma.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="resnet50, bert-base, …")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="train or infer.")] = None,
    steps_: Annotated[int | None, typer.Option("--steps", min=1, help="Steps to train.")] = None,
    warmup_steps: Annotated[int | None, typer.Option("--warmup-steps", min=0, help="Steps before measuring.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Images per worker and step.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="synthetic, or a path on the hosts.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="So many of the cluster's workers.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in workload.model_dir.")] = False,
    as_json: Json = False,
) -> None:
    """Measure again on a deployment that was kept."""
    from pydantic import ValidationError

    from provisioner import inventory, steps
    from provisioner.cli import show
    from provisioner.cli.console import Console
    from provisioner.inventory.spec import WorkloadSpec
    from provisioner.operations import wiring
    from provisioner.runner import Runner
    from provisioner.step import Plan

    saved = wiring.saved_spec(name, whole=True)
    changes: dict[str, Any] = {
        "dtypes": tuple(dtype.split(",")) if dtype else None,
        "model": model,
        "mode": mode,
        "steps": steps_,
        "warmup_steps": warmup_steps,
        "batch_size": batch_size,
        "data": data,
        "workers": workers,
        "resume": resume or None,
    }
    changes = {key: value for key, value in changes.items() if value is not None}
    kept = saved.workload.model_dump()
    # The length is said in one of the two.
    del kept["steps" if kept["epochs"] and not steps_ else "epochs"]
    try:
        workload = WorkloadSpec.model_validate({**kept, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    spec: Spec = saved.model_copy(update={"workload": workload})
    inventory.check_workload(spec)
    console = Console(as_json=as_json, goes_on=True)
    with wiring.opened(spec, console.event, create=False) as (session, emit):
        if session.store.state.removed_at:
            raise StateError(f"{name} was removed", "`provisioner up` makes it anew")
        if spec.creates_instances:
            _ = session.cloud  # verified to be the one it lives in
        full = steps.plan(session)
        ready = tuple(phase for phase in full.phases if phase.name not in ("network", "instances", "training"))
        plan = Plan(name, (*ready, steps.training(session, again=True)))
        Runner(session, plan, emit).up()
        console.close()
        show.report(name, session.store, console)
