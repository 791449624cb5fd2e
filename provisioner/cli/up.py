"""`up`: create, configure, train, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.console import somebody_there
from provisioner.cli.down import remove_all
from provisioner.cli.options import Inventory, Json, Online, Yes
from provisioner.cli.plan import plan, show_preflight, show_summary
from provisioner.cli.report import show_report
from provisioner.errors import InterruptedRun, UsageError
from provisioner.render import counted

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.deployment import Session
    from provisioner.inventory.spec import Spec
    from provisioner.operations.plan import PlanDocument


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
    from provisioner import steps
    from provisioner.cli.console import Console
    from provisioner.inventory import load
    from provisioner.operations import wiring
    from provisioner.operations.report import measured_in_this_life
    from provisioner.runner import Runner
    from provisioner.steps.image import login_of

    spec = load(inventory)
    if spec.runtime == "docker" and spec.image and not wiring.has_images(spec):
        login_of(spec.image.registry_login)  # before anything is created that would wait for a password
    console = Console(as_json=as_json, goes_on=True)
    # Made in any case: what cannot work is refused here, before anything is created.
    document = provisioner.plan(spec, online=not yes)
    if not yes:
        _confirm(spec, document, console, online)
    with wiring.opened(spec, console.event, create=True) as (session, emit):
        runner = Runner(session, steps.plan(session), emit)
        try:
            outcome = runner.up()
            console.close()
            report = measured_in_this_life(spec.name, session.store)
            if report:
                show_report(report, console)
            if outcome.changed == 0:
                console.say("\nno changes: everything was there already")
        except KeyboardInterrupt:
            console.close()
            if remove:
                console.warn("interrupted; removing everything, as --rm asks")
            else:
                raise InterruptedRun("interrupted", _what_exists(session)) from None
            remove_all(runner, session, console)
            raise InterruptedRun("interrupted", "everything was removed") from None
        except Exception as error:  # also a mistake of ours: what was created must not be left for it
            console.close()
            if not remove:
                if spec.creates_instances:
                    console.warn(_what_exists(session))
                raise
            console.warn(f"{error}; removing everything, as --rm asks")
            remove_all(runner, session, console)
            raise
        if remove:
            remove_all(runner, session, console)
        elif spec.creates_instances:
            console.say(f"\n{_what_exists(session)}")


def _confirm(spec: Spec, document: PlanDocument, console: Console, online: bool) -> None:
    if not somebody_there():
        raise UsageError("nobody is there to say yes", "add --yes, or look first with `provisioner plan`")
    show_summary(document, console)
    if spec.creates_instances or online:
        import provisioner

        show_preflight(provisioner.preflight(spec), console)
    if not console.ask("Go ahead?"):
        raise UsageError("not confirmed, nothing was done")


def _what_exists(session: Session) -> str:
    """What costs money by now, how much, and what ends it: from the notes in the folder, without asking anybody."""
    spec, store = session.spec, session.store
    command = f"`provisioner down {spec.name}` removes everything"
    if not spec.creates_instances:
        return f"{spec.name} may still be running on its hosts; {command}"
    price = store.state.price
    cost = f", {price.per_hour:g} {price.currency} an hour" if price else ""
    made = len(store.state.made("instance"))
    if not made and any(creation.kind == "instance" for creation in store.state.unresolved):
        return f"{counted(spec.cloud.count, 'instance')} of {spec.name} may exist{cost}; {command}"
    if not made:
        return f"no instance of {spec.name} exists, and its network costs nothing; {command}"
    return f"{counted(made, 'instance')} of {spec.name} exist{'s' if made == 1 else ''}{cost}; {command}"
