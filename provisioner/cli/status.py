"""`status`: what there is."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import typer

from provisioner.cli.options import Json


def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One deployment; without it, all.")] = None,
    as_json: Json = False,
) -> None:
    """Show deployments: hosts, states, age, cost so far, when they release themselves; of one also what runs inside.

    One that cannot be asked is shown with the reason; then the exit code is 1.
    """
    from provisioner.adapters.store import list_deployments, require
    from provisioner.cli import show
    from provisioner.cli.console import Console
    from provisioner.operations import wiring

    console = Console(as_json=as_json)
    now = datetime.now(timezone.utc)
    if name:
        require(name)
    found = wiring.statuses([name] if name else list_deployments(), now)
    if name and "problem" not in found[0]:
        from provisioner.cli import inside

        inside.look(found[0])
    if as_json:
        console.result(found[0] if name else found)
    elif not found:
        console.say("no deployments")
    else:
        show.status(found, console)
    if any("problem" in each for each in found):
        raise typer.Exit(1)
