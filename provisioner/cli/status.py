"""`status`: what there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.options import Json

if TYPE_CHECKING:
    from provisioner.cli.console import Console
    from provisioner.operations.status import Cost, Running, Status
    from provisioner.ports import ContainerState


def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One deployment; without it, all.")] = None,
    as_json: Json = False,
) -> None:
    """Show deployments: hosts, states, age, cost so far, when they release themselves; of one also what runs inside.

    One that cannot be asked is shown with the reason; then the exit code is 1.
    """
    import provisioner
    from provisioner.cli.console import Console

    console = Console(as_json=as_json)
    statuses = provisioner.statuses([name] if name else None)
    if name and not statuses[0].problem:
        statuses = [provisioner.with_running(statuses[0])]
    if as_json:
        documents = [each.as_json() for each in statuses]
        console.result(documents[0] if name else documents)
    elif not statuses:
        console.say("no deployments")
    else:
        _show(statuses, console)
    if any(each.problem for each in statuses):
        raise typer.Exit(1)


def _show(statuses: Sequence[Status], console: Console) -> None:
    """A table of hosts, one block a deployment; then what runs on them, where they were asked."""
    rows = [
        (each.name, each.provider, name, address, state, _duration(each.age_s), _money(each.cost), _release(each))
        for each in statuses
        for name, address, state in [(h.name, h.address, h.state) for h in each.hosts] or [("-", "-", each.state)]
    ]
    console.table(("NAME", "PROVIDER", "HOST", "ADDRESS", "STATE", "AGE", "COST SO FAR", "RELEASES ITSELF"), rows)
    running = [(host.name, running_words(host.running)) for each in statuses for host in each.hosts if host.running]
    if running:
        console.say("")
        console.table(("HOST", "RUNS"), running)


def running_words(running: Running) -> str:
    """What runs on a host, in one cell of a table."""
    from provisioner.render import counted

    if running.problem:
        return running.problem
    words = []
    if running.has_docker:
        words.append(f"Docker {running.engine}" if running.engine else "no Docker engine")
        words.append(_container_words(running.container) if running.container else "no container")
    if running.workers is not None:
        words.append(counted(running.workers, "Spark worker") + " alive")
    return "; ".join(words) or "-"


def _container_words(container: ContainerState) -> str:
    since = f" since {container.since}" if container.since else ""
    unhealthy = ", unhealthy: a Spark process has ended" if container.health == "unhealthy" else ""
    return f"{container.name} {container.status}{since}{unhealthy} ({container.image})"


def _money(cost: Cost | None) -> str:
    return f"{cost.so_far:.2f} {cost.currency} ({cost.per_hour:g}/h)" if cost else "-"


def _release(status: Status) -> str:
    if status.release_in_s is None:
        return "-"
    return f"in {_duration(status.release_in_s)}" if status.release_in_s > 0 else "now"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
