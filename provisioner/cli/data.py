"""`provisioner data …`: what a folder of training data holds, and how fast it can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from provisioner.cli.console import line
from provisioner.errors import ProvisionerError
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
    from provisioner.operations import data

    verdict = data.check(path, model=model, classes=classes, evaluate=evaluate, limit=limit)
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
    from provisioner.operations import data

    measured = data.measure(path, classes=classes, batch_size=batch_size, image_size=image_size, batches=batches)
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
