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

HELP = "Training data in a folder of this machine."

Folder = Annotated[Path, typer.Argument(metavar="PATH", help="ImageNet TFRecords, or {train,validation}/CLASS/*.jpg.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


def check(
    path: Folder,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Look at so many pictures of a split.")] = None,
    as_json: Json = False,
) -> None:
    """Decode every picture; say how many there are, of which labels, and which are damaged."""
    found = _workload_data("check", str(path), *(["--limit", str(limit)] if limit else []))
    if as_json:
        line(json.dumps(found))
    else:
        line("\n".join(_words(found)))
    damaged = sum(split.get("corrupt", 0) for split in found["splits"].values())
    if damaged:
        raise ProvisionerError(f"{damaged} pictures in {path} cannot be decoded", "replace them, or leave them out")


def measure(
    path: Folder,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images in a batch.")] = 32,
    image_size: Annotated[int, typer.Option("--image-size", min=8, help="Height and width in pixels.")] = 224,
    batches: Annotated[int, typer.Option("--batches", min=1, help="Batches to time.")] = 20,
    as_json: Json = False,
) -> None:
    """Time the input pipeline alone, so that one sees whether it would hold the training back."""
    options = {"--batch-size": batch_size, "--image-size": image_size, "--batches": batches}
    found = _workload_data("measure", str(path), *(str(word) for option in options.items() for word in option))
    text = f"{path}: {found['images_per_second']:.1f} images/s on this machine's cores"
    line(json.dumps(found) if as_json else text)


def _words(found: dict[str, Any]) -> list[str]:
    kinds = {"tfrecords": "TFRecords in ImageNet's layout", "folder": "a folder of pictures by class"}
    lines = [f"{found['path']}: {kinds[found['kind']]}"]
    for split, seen in found["splits"].items():
        if "problem" in seen:
            lines.append(f"  {split}: {seen['problem']}")
            continue
        labels = "" if seen["labels"] is None else ", labels {} to {}".format(*seen["labels"])
        lines.append(f"  {split}: {seen['images']} pictures{labels}, {seen['corrupt']} cannot be decoded")
        lines += [f"    {example['picture']}: {example['reason']}" for example in seen["examples"]]
    return lines


def _workload_data(*arguments: str) -> dict[str, Any]:
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
            [sys.executable, "-m", "workload.data", *arguments],
            env={**os.environ, "PYTHONPATH": str(archive), "TF_CPP_MIN_LOG_LEVEL": "2"},
            capture_output=True,
            text=True,
            check=False,
        )
    lines = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if found.get("event") == "error":
        raise UsageError(found["message"])
    if "path" not in found:
        tail = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ProvisionerError(f"looking at the data failed: {tail[0]}", "the folder may not be readable for you")
    return found
