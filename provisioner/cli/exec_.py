"""`exec`: a command on hosts."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from provisioner.cli.console import raw_line
from provisioner.cli.options import Container, Host, Name
from provisioner.errors import UsageError

if TYPE_CHECKING:
    from provisioner import deployment
    from provisioner.ports import OnLine


def exec_(context: typer.Context, name: Name, host: Host = None, container: Container = False) -> None:
    """Run a command on a host, or with --host all on every one side by side: `provisioner exec NAME -- CMD …`."""
    from provisioner.errors import PartialFailureError, ProvisionerError
    from provisioner.fan_out import fan_out
    from provisioner.operations.hosts import check_container, chosen, looking_at

    if not context.args:
        raise UsageError("no command was given", f"write `provisioner exec {name} -- COMMAND`")
    words = context.args[0] if len(context.args) == 1 else shlex.join(context.args)
    failures: list[tuple[str, ProvisionerError]] = []
    with looking_at(name) as session:
        if container:
            check_container(session)
        hosts = session.hosts if host == "all" else (chosen(session, host),)

        def on(each: deployment.Host) -> int:
            shell = each.shell() if container else each.connection()
            prefix = f"[{each.name}] " if len(hosts) > 1 else ""
            return shell.run(words, timeout_s=None, check=False, on_line=_printer(prefix)).status

        if len(hosts) == 1:
            raise typer.Exit(on(hosts[0]))

        def tried(each: deployment.Host) -> int:
            try:
                return on(each)
            except ProvisionerError as error:
                failures.append((each.name, error))
                return 1

        statuses = fan_out(tried, hosts, on_interrupt=session.close)
    if failures:
        raise PartialFailureError(f"{len(failures)} of {len(hosts)} hosts could not be asked", failures)
    raise typer.Exit(next(filter(None, statuses), 0))


def _printer(prefix: str) -> OnLine:
    """For the output of a command that a person gave: as the host prints it."""
    return lambda text: raw_line(prefix + text)
