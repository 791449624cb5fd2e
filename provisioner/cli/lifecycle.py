"""init, plan, up, status, run, report, down, sweep: the life of a deployment."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.app import app, command
from provisioner.cli.console import line, somebody_there, untold
from provisioner.errors import InterruptedRun, PlaceGoneError, StateError, UsageError

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.deployment import Deployment
    from provisioner.inventory.spec import Spec
    from provisioner.resources import Resource
    from provisioner.runner import Runner

Inventory = Annotated[Path, typer.Argument(metavar="INVENTORY", help="The YAML inventory.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name (the inventory's `name`).")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
Online = Annotated[bool, typer.Option("--online", help="Ask the cloud too: permissions, stock, price, what exists.")]


@command(app)
def init(name: Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name.")] = "bf16") -> None:
    """Write a commented inventory NAME.yaml to start from."""
    from provisioner import inventory
    from provisioner.render import render

    path = Path(f"{name}.yaml")
    text = render("inventory.yaml", name=name)
    inventory.parse(text, str(path))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already", "choose another name, or remove it") from None
    line(f"wrote {path}; next: provisioner plan {path}")


@command(app)
def plan(inventory: Inventory, as_json: Json = False, online: Online = False) -> None:
    """Show what `up` would do: resources, steps for each host, every rendered file. Nothing is changed."""
    _plan(inventory, as_json, online)


def _plan(path: Path, as_json: bool, online: bool) -> None:
    from provisioner import steps
    from provisioner.cli import show
    from provisioner.cli.console import Console
    from provisioner.inventory import load
    from provisioner.operations import wiring

    spec = load(path)
    console = Console(as_json=as_json)
    deployment = wiring.for_plan(spec, online=online)
    planned = steps.plan(deployment)
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


@command(app)
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
        _plan(inventory, as_json, online)
        return
    from provisioner import steps
    from provisioner.cli import show
    from provisioner.cli.console import Console
    from provisioner.inventory import load
    from provisioner.operations import wiring
    from provisioner.runner import Runner
    from provisioner.steps.image import login_of

    spec = load(inventory)
    if spec.runtime == "docker" and spec.image and not wiring.has_images(spec):
        login_of(spec.image.registry_login)  # before anything is created that would wait for a password
    console = Console(as_json=as_json, goes_on=True)
    # Made in any case: what cannot work is refused here, before anything is created.
    document = show.plan_document(steps.plan(wiring.for_plan(spec, online=not yes)))
    if not yes:
        _confirm(spec, document, console, online)
    with wiring.opened(spec, console.event, create=True) as (deployment, emit):
        runner = Runner(deployment, steps.plan(deployment), emit)
        try:
            outcome = runner.up()
            console.close()
            show.report(spec.name, deployment.store, console)
            if outcome.changed == 0:
                console.say("\nno changes: everything was there already")
        except KeyboardInterrupt:
            console.close()
            if remove:
                console.warn("interrupted; removing everything, as --rm asks")
            else:
                raise InterruptedRun("interrupted", _what_exists(deployment)) from None
            _remove_all(runner, deployment, console)
            raise InterruptedRun("interrupted", "everything was removed") from None
        except Exception as error:  # also a mistake of ours: what was created must not be left for it
            console.close()
            if not remove:
                if spec.creates_instances:
                    console.warn(_what_exists(deployment))
                raise
            console.warn(f"{error}; removing everything, as --rm asks")
            _remove_all(runner, deployment, console)
            raise
        if remove:
            _remove_all(runner, deployment, console)
        elif spec.creates_instances:
            console.say(f"\n{_what_exists(deployment)}")


def _confirm(spec: Spec, document: dict[str, Any], console: Console, online: bool) -> None:
    from provisioner.cli import show

    if not somebody_there():
        raise UsageError("nobody is there to say yes", "add --yes, or look first with `provisioner plan`")
    show.plan_summary(document, console)
    if spec.creates_instances or online:
        from provisioner.cli.online import preflight

        preflight(spec, console)
    if not console.ask("Go ahead?"):
        raise UsageError("not confirmed, nothing was done")


def _what_exists(deployment: Deployment) -> str:
    """What costs money by now, how much, and what ends it: from the notes in the folder, without asking anybody."""
    spec, store = deployment.spec, deployment.store
    command = f"`provisioner down {spec.name}` removes everything"
    if not spec.creates_instances:
        return f"{spec.name} may still be running on its hosts; {command}"
    price = store.state.price
    cost = f", {price.per_hour:g} {price.currency} an hour" if price else ""
    made = len(store.state.made("instance"))
    if not made and any(creation.kind == "instance" for creation in store.state.unresolved):
        return f"{_instances(spec.cloud.count)} of {spec.name} may exist{cost}; {command}"
    if not made:
        return f"no instance of {spec.name} exists, and its network costs nothing; {command}"
    return f"{_instances(made)} of {spec.name} exist{'s' if made == 1 else ''}{cost}; {command}"


def _instances(count: int) -> str:
    return f"{count} instance{'s' if count != 1 else ''}"


def _remove_all(
    runner: Runner, deployment: Deployment, console: Console, *, forget_hosts: bool = False
) -> list[Resource]:
    """down, its proof, and the state folder put to rest. A second Ctrl-C during it ends it; `down` goes on later."""
    from provisioner.operations import wiring

    removed: list[Resource] = []
    gone: PlaceGoneError | None = None
    try:
        removed = runner.down(forget_hosts=forget_hosts)
    except PlaceGoneError as error:
        gone = error
    except KeyboardInterrupt:
        name = deployment.spec.name
        raise InterruptedRun("interrupted while removing", f"`provisioner down {name}` goes on with it") from None
    finally:
        console.close()
    try:
        wiring.ended(deployment.store)  # type: ignore[arg-type]
    except StateError as error:
        untold(f"everything was removed, which could not be noted: {error}; then `provisioner down` again notes it")
    if gone:
        console.say(f"\n{gone.message}: there is nothing left to remove.")
    elif deployment.ports.cloud is not None:
        by_kind: dict[str, list[str]] = {}
        for resource in removed:
            by_kind.setdefault(resource.kind, []).append(resource.id)
        console.say("\nRemoved:")
        for kind, ids in by_kind.items():
            console.say(f"  {kind:15} {', '.join(ids)}")
        from provisioner.runner import KINDS

        tags = ", ".join(f"{key}={value}" for key, value in deployment.own_tags.items())
        cloud = deployment.cloud
        where = f"region {cloud.region}, account {cloud.account_id}, at {cloud.endpoint}"
        console.say(f"Proof: looked up {', '.join(KINDS)} by tag {tags} in {where}: 0 left.")
    else:
        forgotten = {failure.step.host for failure in runner.forgotten}
        hosts = [host for host in deployment.host_names if host not in forgotten]
        if hosts:
            console.say(f"\nStopped Spark and removed its folder on {', '.join(hosts)}.")
        for host in sorted(filter(None, forgotten)):
            stays = [failure for failure in runner.forgotten if failure.step.host == host]
            titles = "; ".join(failure.step.describe().title for failure in stays)
            console.warn(f"{host} is forgotten, with what this did there ({titles}): {stays[0].error.message}")
    if console.as_json:
        document: dict[str, Any] = {
            "removed": [{"kind": r.kind, "id": r.id, "name": r.name} for r in removed],
            "left": [],
        }
        if runner.forgotten:
            document["forgotten"] = [{"host": f.step.host, "step": f.step.name} for f in runner.forgotten]
        console.result(document)
    return removed


@command(app)
def down(
    name: Name,
    yes: Yes = False,
    forget_hosts: Annotated[
        bool, typer.Option("--forget-hosts", help="Leave static hosts that cannot be cleaned up as they are.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove everything of a deployment, then look again by tag and prove that nothing is left."""
    from provisioner import steps
    from provisioner.adapters.store import FolderStore
    from provisioner.cli.console import Console
    from provisioner.operations import wiring
    from provisioner.runner import Runner

    spec = wiring.saved_spec(name)
    console = Console(as_json=as_json, goes_on=True)
    _, unread = FolderStore.open(name, create=False).state.spec()
    if unread:
        console.warn(f"what another version of provisioner wrote into the inventory is left out: {', '.join(unread)}")
    if forget_hosts and spec.creates_instances:
        raise UsageError(f"the hosts of {name} are instances, which go as a whole", "leave --forget-hosts out")
    if not yes:
        if not somebody_there():
            raise UsageError("nobody is there to say yes", "add --yes")
        if not console.ask(f"Remove everything of {name}?"):
            raise UsageError("not confirmed, nothing was removed")
    with wiring.opened(spec, console.event, create=False) as (deployment, emit):
        if forget_hosts:
            deployment.patience_s = spec.ssh.connect_timeout_s
        runner = Runner(deployment, steps.plan(deployment), emit)
        _remove_all(runner, deployment, console, forget_hosts=forget_hosts)


@command(app)
def run(
    name: Name,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16, or both with a comma.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="resnet50, bert-base, …")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="train or infer.")] = None,
    steps_: Annotated[int | None, typer.Option("--steps", min=1, help="Steps to train.")] = None,
    warmup_steps: Annotated[int | None, typer.Option("--warmup-steps", min=0, help="Steps before measuring.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Images per worker and step.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="synthetic, or a path on the hosts.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="So many of the cluster's workers.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in workload.model_dir.")] = False,
    as_json: Json = False,
) -> None:
    """Measure again on a deployment that was kept."""
    from pydantic import ValidationError

    from provisioner import inventory, steps
    from provisioner.cli import show
    from provisioner.cli.console import Console
    from provisioner.inventory.spec import WorkloadSpec
    from provisioner.operations import wiring
    from provisioner.runner import Runner
    from provisioner.step import Plan

    saved = wiring.saved_spec(name, whole=True)
    changes: dict[str, Any] = {
        "dtypes": tuple(dtype.split(",")) if dtype else None,
        "model": model,
        "mode": mode,
        "steps": steps_,
        "warmup_steps": warmup_steps,
        "batch_size": batch_size,
        "data": data,
        "workers": workers,
        "resume": resume or None,
    }
    changes = {key: value for key, value in changes.items() if value is not None}
    kept = saved.workload.model_dump()
    # The length is said in one of the two.
    del kept["steps" if kept["epochs"] and not steps_ else "epochs"]
    try:
        workload = WorkloadSpec.model_validate({**kept, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    spec: Spec = saved.model_copy(update={"workload": workload})
    inventory.check_workload(spec)
    console = Console(as_json=as_json, goes_on=True)
    with wiring.opened(spec, console.event, create=False) as (deployment, emit):
        if deployment.store.state.removed_at:
            raise StateError(f"{name} was removed", "`provisioner up` makes it anew")
        if spec.creates_instances:
            _ = deployment.cloud  # verified to be the one it lives in
        full = steps.plan(deployment)
        ready = tuple(phase for phase in full.phases if phase.name not in ("network", "instances", "training"))
        plan = Plan(name, (*ready, steps.training(deployment, again=True)))
        Runner(deployment, plan, emit).up()
        console.close()
        show.report(name, deployment.store, console)


@command(app)
def report(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="The deployment's name; with --compare two, or NAME/RUN.")
    ],
    format_: Annotated[
        str, typer.Option("--format", help="table, json, csv, md or html; with --compare table or json.")
    ] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Two deployments or runs side by side, and what differs between them.")
    ] = False,
) -> None:
    """Print the measurements, as the paper's table or in another format."""
    from provisioner.adapters.store import FolderStore
    from provisioner.cli import show

    if len(names) != (2 if compare else 1):
        wanted = "`report --compare NAME NAME` takes two" if compare else "`report NAME` takes one"
        raise UsageError(f"{len(names)} names given: {wanted}", "" if compare else "--compare takes two")
    if compare:
        text = show.comparison_text(names[0], names[1], format_)
    else:
        text = show.report_text(names[0], FolderStore.open(names[0], create=False), format_)
    if output is None:
        line(text.rstrip("\n"))
    else:
        output.write_text(text, encoding="utf-8")


@command(app)
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


@command(app)
def sweep(
    region: Annotated[str, typer.Option("--region", help="The region to search.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Find by tag what any deployment left behind in a region, show it, and after a yes remove it."""
    from provisioner.cli import online
    from provisioner.cli.console import Console

    online.sweep(region, yes, Console(as_json=as_json, goes_on=True))
