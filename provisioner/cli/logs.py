"""`logs`: what was written here and on a host."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli.console import line
from provisioner.cli.options import Host, Name


def logs(
    name: Name,
    host: Host = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines arrive.")] = False,
) -> None:
    """Show what the training and Spark's processes wrote; with --host also what the steps' commands printed there."""
    from provisioner.operations.hosts import kept_logs, tail

    for path in () if follow else kept_logs(name, host):
        line(f"==> {path} <==")
        line(path.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
    tail(name, line, host=host, follow=follow)
