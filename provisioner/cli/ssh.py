"""`ssh`: a shell on a host."""

from __future__ import annotations

import typer

from provisioner.cli.options import Container, Host, Name


def ssh(name: Name, host: Host = None, container: Container = False) -> None:
    """Open a shell on a host."""
    from provisioner.operations.hosts import check_container, chosen, looking_at, terminal_command

    with looking_at(name) as deployment:
        if container:
            check_container(deployment)
        connection = deployment.connection(chosen(deployment, host))
        status = connection.interactive(terminal_command(deployment) if container else None)
    raise typer.Exit(status)
