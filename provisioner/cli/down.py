"""`down`: remove everything, and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.console import somebody_there, untold
from provisioner.cli.options import Json, Name, Yes
from provisioner.errors import InterruptedRun, PlaceGoneError, StateError, UsageError

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.deployment import Session
    from provisioner.resources import Resource
    from provisioner.runner import Runner


def remove_all(runner: Runner, session: Session, console: Console, *, forget_hosts: bool = False) -> list[Resource]:
    """down, its proof, and the state folder put to rest. A second Ctrl-C during it ends it; `down` goes on later."""
    from provisioner.operations import wiring

    removed: list[Resource] = []
    gone: PlaceGoneError | None = None
    try:
        removed = runner.down(forget_hosts=forget_hosts)
    except PlaceGoneError as error:
        gone = error
    except KeyboardInterrupt:
        name = session.spec.name
        raise InterruptedRun("interrupted while removing", f"`provisioner down {name}` goes on with it") from None
    finally:
        console.close()
    try:
        wiring.ended(session.store)  # type: ignore[arg-type]
    except StateError as error:
        untold(f"everything was removed, which could not be noted: {error}; then `provisioner down` again notes it")
    if gone:
        console.say(f"\n{gone.message}: there is nothing left to remove.")
    elif session.has_cloud:
        by_kind: dict[str, list[str]] = {}
        for resource in removed:
            by_kind.setdefault(resource.kind, []).append(resource.id)
        console.say("\nRemoved:")
        for kind, ids in by_kind.items():
            console.say(f"  {kind:15} {', '.join(ids)}")
        from provisioner.runner import KINDS

        tags = ", ".join(f"{key}={value}" for key, value in session.deployment.own_tags.items())
        cloud = session.cloud
        where = f"region {cloud.region}, account {cloud.account_id}, at {cloud.endpoint}"
        console.say(f"Proof: looked up {', '.join(KINDS)} by tag {tags} in {where}: 0 left.")
    else:
        forgotten = {failure.step.host for failure in runner.forgotten}
        hosts = [host for host in session.deployment.host_names if host not in forgotten]
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
    with wiring.opened(spec, console.event, create=False) as (session, emit):
        if forget_hosts:
            for host in session.hosts:
                host.ready_timeout_s = spec.ssh.connect_timeout_s
        runner = Runner(session, steps.plan(session), emit)
        remove_all(runner, session, console, forget_hosts=forget_hosts)
