"""`report`: the measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli.console import line
from provisioner.errors import UsageError


def report(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="The deployment's name; with --compare two, or NAME/RUN.")
    ],
    format_: Annotated[
        str, typer.Option("--format", help="table, json, csv, md or html; with --compare table or json.")
    ] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Two deployments or runs side by side, and what differs between them.")
    ] = False,
) -> None:
    """Print the measurements, as the paper's table or in another format."""
    from provisioner.adapters.store import FolderStore
    from provisioner.cli import show

    if len(names) != (2 if compare else 1):
        wanted = "`report --compare NAME NAME` takes two" if compare else "`report NAME` takes one"
        raise UsageError(f"{len(names)} names given: {wanted}", "" if compare else "--compare takes two")
    if compare:
        text = show.comparison_text(names[0], names[1], format_)
    else:
        text = show.report_text(names[0], FolderStore.open(names[0], create=False), format_)
    if output is None:
        line(text.rstrip("\n"))
    else:
        output.write_text(text, encoding="utf-8")
