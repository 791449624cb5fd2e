"""`ssh`: a shell on a host."""

from __future__ import annotations

import typer

from provisioner.cli.options import Container, Host, Name


def ssh(name: Name, host: Host = None, container: Container = False) -> None:
    """Open a shell on a host."""
    from provisioner.operations.hosts import open_shell

    raise typer.Exit(open_shell(name, host, container=container))
