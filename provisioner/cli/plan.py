"""`plan`: what `up` would do."""

from __future__ import annotations

from provisioner.cli.options import Inventory, Json, Online


def plan(inventory: Inventory, as_json: Json = False, online: Online = False) -> None:
    """Show what `up` would do: resources, steps for each host, every rendered file. Nothing is changed."""
    from provisioner import steps
    from provisioner.cli import show
    from provisioner.cli.console import Console
    from provisioner.inventory import load
    from provisioner.operations import wiring

    spec = load(inventory)
    console = Console(as_json=as_json)
    session = wiring.for_plan(spec, online=online)
    planned = steps.plan(session)
    document = show.plan_document(planned)
    if not as_json:
        show.plan_text(document, console)
    if online:
        from provisioner.cli.online import existing, preflight

        document["online"] = {**preflight(spec, console), "steps": existing(spec, console)}
    if as_json:
        console.result(document)
    else:
        asked = "" if online else " `--online` also asks the cloud for permissions, quota, stock and price."
        console.say(f"\nNothing was changed.{asked}")
