"""`run`: measure again."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli.options import Json, Name


def run(
    name: Name,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16, or both with a comma.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="resnet50, bert-base, …")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="train or infer.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps to train.")] = None,
    warmup_steps: Annotated[int | None, typer.Option("--warmup-steps", min=0, help="Steps before measuring.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Images per worker and step.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="synthetic, or a path on the hosts.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="So many of the cluster's workers.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in workload.model_dir.")] = False,
    as_json: Json = False,
) -> None:
    """Measure again on a deployment that was kept."""
    import provisioner
    from provisioner.cli.console import Console
    from provisioner.cli.report import show_report

    changes = {
        "dtypes": tuple(dtype.split(",")) if dtype else None,
        "model": model,
        "mode": mode,
        "steps": steps,
        "warmup_steps": warmup_steps,
        "batch_size": batch_size,
        "data": data,
        "workers": workers,
        "resume": resume or None,
    }
    console = Console(as_json=as_json, goes_on=True)
    report = provisioner.run(name, {key: value for key, value in changes.items() if value is not None}, console.event)
    console.close()
    if report:
        show_report(report, console)
