"""What runs on a deployment's hosts at this moment, for `status NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.deployment import Host
from provisioner.errors import ProvisionerError
from provisioner.fan_out import fan_out
from provisioner.inventory.spec import Spec
from provisioner.steps.spark import is_ours, live_workers, master_page

PATIENCE_S = 10.0
"""For one host to let us in: who asks for the state does not wait for a host that is booting."""


def look(found: dict[str, Any]) -> None:
    """Add to each running host of `wiring.status`'s answer what runs on it, under `inside`.

    That is `{"engine", "container": {"name", "image", "status", "health", "since"} | None, "workers"}`, the first two
    with Docker only and the last with Spark only, or `{"problem"}` where the host could not be asked. Hosts are asked
    side by side.
    """
    from provisioner.operations import wiring

    hosts = [host for host in found["hosts"] if host["state"] in ("Running", "not ours")]
    if not hosts:
        return
    with wiring.looking(hasty(wiring.saved_spec(found["name"]))) as session:
        first = session.hosts[0]
        answers = fan_out(lambda host: _inside(session.host(host["name"]), first), hosts, on_interrupt=session.close)
        for host, inside in zip(hosts, answers, strict=True):
            host["inside"] = inside


def hasty(spec: Spec) -> Spec:
    """An inventory whose hosts are given little time to let us in."""
    ssh = spec.ssh.model_copy(update={"ready_timeout_s": PATIENCE_S, "connect_timeout_s": PATIENCE_S})
    return spec.model_copy(update={"ssh": ssh})


def _inside(host: Host, first: Host) -> dict[str, Any]:
    try:
        found: dict[str, Any] = {}
        if host.spec.runtime == "docker":
            engine = host.engine()
            found["engine"] = engine.ping()
            container = engine.container(host.deployment.container) if found["engine"] else None
            shown = ("name", "image", "status", "health", "since")
            found["container"] = {key: getattr(container, key) for key in shown} if container else None
        if host.spec.workload.engine != "local":
            page = master_page(first)
            workers = live_workers(page) if page and is_ours(first, page) else []
            names = {host.address.private, host.facts().hostname}
            found["workers"] = sum(worker.host in names for worker in workers)
    except ProvisionerError as error:
        return {"problem": error.message}
    return found


def words(inside: Mapping[str, Any] | None) -> str:
    """It in one cell of a table."""
    from provisioner.render import counted

    if inside is None:
        return "-"
    if "problem" in inside:
        return str(inside["problem"])
    said = []
    if "engine" in inside:
        said.append(f"Docker {inside['engine']}" if inside["engine"] else "no Docker engine")
        container = inside["container"]
        said.append(_container_words(container) if container else "no container")
    if "workers" in inside:
        said.append(counted(inside["workers"], "Spark worker") + " alive")
    return "; ".join(said) or "-"


def _container_words(container: Mapping[str, Any]) -> str:
    since = f" since {container['since']}" if container["since"] else ""
    unhealthy = ", unhealthy: a Spark process has ended" if container["health"] == "unhealthy" else ""
    return f"{container['name']} {container['status']}{since}{unhealthy} ({container['image']})"
