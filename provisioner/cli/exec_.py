"""`exec`: a command on hosts."""

from __future__ import annotations

import shlex

import typer

from provisioner.cli.console import raw_line
from provisioner.cli.options import Container, Host, Name
from provisioner.errors import CommandError, UsageError


def exec_(context: typer.Context, name: Name, host: Host = None, container: Container = False) -> None:
    """Run a command on a host, or with --host all on every one side by side: `provisioner exec NAME -- CMD …`."""
    from provisioner.operations.hosts import execute

    if not context.args:
        raise UsageError("no command was given", f"write `provisioner exec {name} -- COMMAND`")
    command = context.args[0] if len(context.args) == 1 else shlex.join(context.args)

    def show(of: str | None, text: str) -> None:
        raw_line(f"[{of}] {text}" if of else text)  # as the host prints it: it is a person's own command

    statuses = execute(name, command, show, host=host, container=container)
    unknown = sorted(each for each, status in statuses.items() if status < 0)
    if unknown:
        raise CommandError(
            f"what became of the command on {', '.join(unknown)} is not known: it ended, by a signal or without telling"
            " a status",
            "look there what it did before you run it again",
        )
    raise typer.Exit(next(filter(None, statuses.values()), 0))
