"""`up`: create, configure, train, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.console import somebody_there
from provisioner.cli.down import show_removal
from provisioner.cli.options import Inventory, Json, Online, Yes
from provisioner.cli.plan import plan, show_preflight, show_summary
from provisioner.cli.report import show_report
from provisioner.errors import UsageError

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.inventory.spec import Spec
    from provisioner.operations.down import Removal
    from provisioner.operations.up import UpResult


def up(
    inventory: Inventory,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop, like `plan`.")] = False,
    online: Online = False,
    remove: Annotated[bool, typer.Option("--rm", help="Remove everything at the end, also on failure.")] = False,
    as_json: Json = False,
) -> None:
    """Create, configure, train and report. Run again after an interruption, it goes on where it was."""
    if dry_run:
        plan(inventory, as_json, online)
        return
    import provisioner
    from provisioner.cli.console import Console

    spec = provisioner.load(inventory)
    console = Console(as_json=as_json, goes_on=True)
    if not yes:
        _confirm(spec, console, online)

    def on_up(result: UpResult) -> None:
        console.close()
        if result.report:
            show_report(result.report, console)
        if result.changed == 0:
            console.say("\nno changes: everything was there already")

    def on_removal(removal: Removal) -> None:
        console.close()
        show_removal(removal, console)

    try:
        result = provisioner.up(spec, console.event, remove=remove, on_up=on_up, on_removal=on_removal)
    finally:
        console.close()
    if result.exists:
        console.say(f"\n{result.exists}")


def _confirm(spec: Spec, console: Console, online: bool) -> None:
    import provisioner
    from provisioner.operations.up import prepared

    document = prepared(spec, online=True)
    if not somebody_there():
        raise UsageError("nobody is there to say yes", "add --yes, or look first with `provisioner plan`")
    show_summary(document, console)
    if spec.creates_instances or online:
        show_preflight(provisioner.preflight(spec), console)
    if not console.ask("Go ahead?"):
        raise UsageError("not confirmed, nothing was done")
