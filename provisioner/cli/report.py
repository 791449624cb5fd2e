"""`report`: the measurements."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from provisioner.cli.console import line
from provisioner.errors import UsageError
from provisioner.reporting.formats import FORMATS

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.reporting.report import Report

Value = TypeVar("Value")


def report(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="The deployment's name; with --compare two, or NAME/RUN.")
    ],
    format_: Annotated[
        str, typer.Option("--format", help=f"{', '.join(FORMATS)}; with --compare table or json.")
    ] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Two deployments or runs side by side, and what differs between them.")
    ] = False,
) -> None:
    """Print the measurements, as the paper's table or in another format."""
    import provisioner
    from provisioner.reporting.compare import FORMATS as COMPARISONS

    if len(names) != (2 if compare else 1):
        usage = "`report --compare NAME NAME` takes two" if compare else "`report NAME` takes one"
        raise UsageError(f"{len(names)} names given: {usage}", "" if compare else "--compare takes two")
    if compare:
        write_comparison = _format(COMPARISONS, format_)
        text = write_comparison(provisioner.compare(names[0], names[1]))
    else:
        write_report = _format(FORMATS, format_)
        text = write_report(provisioner.report(names[0]))
    if output is None:
        line(text.rstrip("\n"))
    else:
        output.write_text(text, encoding="utf-8")


def _format(formats: Mapping[str, Callable[[Value], str]], name: str) -> Callable[[Value], str]:
    if name not in formats:
        raise UsageError(f"--format {name} is not known", f"it is one of {', '.join(formats)}")
    return formats[name]


def show_report(report: Report, console: Console) -> None:
    """The paper's table at the end of a run; with --json the report's object."""
    if console.as_json:
        console.result(json.loads(FORMATS["json"](report)))
    else:
        console.say()
        console.say(FORMATS["table"](report).rstrip("\n"))
