"""`sweep`: what any deployment left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli.console import somebody_there
from provisioner.cli.options import Json, Yes
from provisioner.errors import UsageError
from provisioner.render import counted


def sweep(
    region: Annotated[str, typer.Option("--region", help="The region to search.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Find by tag what any deployment left behind in a region, show it, and after a yes remove it."""
    import provisioner
    from provisioner.cli.console import Console
    from provisioner.resources import TAG_NAME

    console = Console(as_json=as_json, goes_on=True)
    leftovers = provisioner.leftovers(region, lambda event: console.say(f"    . {event.text}"))
    resources = leftovers.resources
    if resources and not as_json:
        rows = [(r.tags.get(TAG_NAME, "?"), r.kind, r.id, r.name, r.state) for r in resources]
        console.table(("DEPLOYMENT", "KIND", "ID", "NAME", "STATE"), rows)
    if resources and not yes:
        number = counted(len(resources), "resource")
        if not somebody_there():
            raise UsageError(f"{number} found and nobody is there to say yes", "add --yes to remove them")
        if not console.ask(f"Remove {number} in {region}?"):
            raise UsageError("not confirmed, nothing was removed")
    removal = leftovers.remove()
    if as_json:
        console.result(removal.as_json())
    else:
        console.say(f"{len(resources)} removed; {removal.proof}")
