"""`down`: remove everything, and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.console import somebody_there
from provisioner.cli.options import Json, Name, Yes
from provisioner.errors import UsageError

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.operations.down import Removal


def down(
    name: Name,
    yes: Yes = False,
    forget_hosts: Annotated[
        bool, typer.Option("--forget-hosts", help="Leave static hosts that cannot be cleaned up as they are.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove everything of a deployment, then look again by tag and prove that nothing is left."""
    import provisioner
    from provisioner.cli.console import Console
    from provisioner.operations.down import checked

    _, unread = checked(name, forget_hosts=forget_hosts)
    console = Console(as_json=as_json, goes_on=True)
    if unread:
        console.warn(f"what another version of provisioner wrote into the inventory is left out: {', '.join(unread)}")
    if not yes:
        if not somebody_there():
            raise UsageError("nobody is there to say yes", "add --yes")
        if not console.ask(f"Remove everything of {name}?"):
            raise UsageError("not confirmed, nothing was removed")
    try:
        removal = provisioner.down(name, console.event, forget_hosts=forget_hosts)
    finally:
        console.close()
    show_removal(removal, console)


def show_removal(removal: Removal, console: Console) -> None:
    """What was removed, and the proof; with --json the removal's object."""
    if removal.gone:
        console.say(f"\n{removal.gone}: there is nothing left to remove.")
    if removal.proof:
        by_kind: dict[str, list[str]] = {}
        for resource in removal.resources:
            by_kind.setdefault(resource.kind, []).append(resource.id)
        console.say("\nRemoved:")
        for kind, ids in by_kind.items():
            console.say(f"  {kind:15} {', '.join(ids)}")
        console.say(f"Proof: {removal.proof}")
    if removal.cleaned_hosts:
        console.say(f"\nStopped Spark and removed its folder on {', '.join(removal.cleaned_hosts)}.")
    for host in sorted({each.host for each in removal.forgotten}):
        stays = [each for each in removal.forgotten if each.host == host]
        titles = "; ".join(each.title for each in stays)
        console.warn(f"{host} is forgotten, with what this did there ({titles}): {stays[0].error.message}")
    if console.as_json:
        console.result(removal.as_json())
