"""`ssh`: a shell on a host."""

from __future__ import annotations

import typer

from provisioner.cli.options import Container, Host, Name


def ssh(name: Name, host: Host = None, container: Container = False) -> None:
    """Open a shell on a host."""
    from provisioner.operations.hosts import check_container, chosen, looking_at, terminal_command

    with looking_at(name) as session:
        if container:
            check_container(session)
        connection = chosen(session, host).connection()
        status = connection.interactive(terminal_command(session) if container else None)
    raise typer.Exit(status)
