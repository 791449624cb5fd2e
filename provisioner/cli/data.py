"""`provisioner data …`: what a folder of training data holds, and how fast it can be read."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from provisioner.cli.console import line
from provisioner.errors import ProvisionerError, UsageError
from provisioner.render import counted

HELP = "Training data in a folder of this machine."

Folder = Annotated[
    Path, typer.Argument(metavar="PATH", help="ImageNet TFRecords, {train,validation}/CLASS/*.jpg, or SQuAD's JSON.")
]
Classes = Annotated[int | None, typer.Option("--classes", min=2, help="Of the model; 1000 unless told.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


def check(
    path: Folder,
    model: Annotated[str | None, typer.Option("--model", help="What the data is for; else what it suits.")] = None,
    classes: Classes = None,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="A validation split is needed as well.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Look at so many images of a split.")] = None,
    as_json: Json = False,
) -> None:
    """Read everything, decode every image; say what there is, what is damaged, and what the model does not expect."""
    options = {"--model": model, "--classes": classes, "--limit": limit}
    given = [str(word) for option in options.items() if option[1] is not None for word in option]
    verdict = _workload_look("check", str(path), *given, *(["--evaluate"] if evaluate else []))
    line(json.dumps(verdict) if as_json else "\n".join(_words(verdict)))
    if verdict["problems"]:
        more = len(verdict["problems"]) - 1
        raise ProvisionerError(verdict["problems"][0] + (f" (and {counted(more, 'more problem')})" if more else ""))
    damaged = sum(split.get("corrupt") or 0 for split in verdict["splits"].values())
    if damaged:
        raise ProvisionerError(
            f"{counted(damaged, 'image')} in {verdict['path']} cannot be decoded", "replace them, or leave them out"
        )


def measure(
    path: Folder,
    classes: Classes = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images in a batch.")] = 32,
    image_size: Annotated[int, typer.Option("--image-size", min=8, help="Height and width in pixels.")] = 224,
    batches: Annotated[int, typer.Option("--batches", min=1, help="Batches to time.")] = 20,
    as_json: Json = False,
) -> None:
    """Time the input pipeline alone, so that one sees whether it would hold the training back."""
    options = {"--classes": classes, "--batch-size": batch_size, "--image-size": image_size, "--batches": batches}
    given = (str(word) for option in options.items() if option[1] is not None for word in option)
    measured = _workload_look("measure", str(path), *given)
    text = f"{measured['path']}: {measured['images_per_second']:.1f} images/s on this machine's cores"
    line(json.dumps(measured) if as_json else text)


def _words(verdict: dict[str, Any]) -> list[str]:
    lines = [f"{verdict['path']}: {verdict['title']}"]
    for split, seen in verdict["splits"].items():
        if "questions" in seen:
            lines.append(
                f"  {split}: {seen['questions']} questions: {seen['answered']} with an answer in their text "
                f"({seen['found_again']} found again), {seen['unanswerable']} without, {seen['left_out']} left out"
            )
            continue
        labels = "" if seen["labels"] is None else ", labels {} to {}".format(*seen["labels"])
        lines.append(f"  {split}: {seen['images']} images{labels}, {seen['corrupt'] or 0} cannot be decoded")
        lines += [f"    {example['image']}: {example['reason']}" for example in seen["examples"]]
    lines += [f"  {note}" for note in verdict["notes"]]
    return lines + [f"  problem: {problem}" for problem in verdict["problems"]]


def _workload_look(*arguments: str) -> dict[str, Any]:
    """What the workload's own command answers, in a process of its own: this one never loads TensorFlow.

    Raises:
        UsageError: TensorFlow is not installed, or the path holds no data.
    """
    from provisioner.steps.workload import workload_archive

    if importlib.util.find_spec("tensorflow") is None:
        raise UsageError("looking at data needs TensorFlow", "pip install 'provisioner[local]'")
    with tempfile.TemporaryDirectory(prefix="provisioner-") as folder:
        archive = Path(folder) / "workload.zip"
        archive.write_bytes(workload_archive())
        done = subprocess.run(
            [sys.executable, "-m", "workload", *arguments],
            env={**os.environ, "PYTHONPATH": str(archive), "TF_CPP_MIN_LOG_LEVEL": "2"},
            capture_output=True,
            text=True,
            check=False,
        )
    lines = done.stdout.splitlines()
    answer: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if answer.pop("event", "error") == "error":
        tail = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        message = answer.get("message") or f"looking at the data failed: {tail[0]}"
        raise (UsageError if done.returncode == UsageError.exit_code else ProvisionerError)(message)
    return answer
