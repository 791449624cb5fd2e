"""What Spark's master says of itself on its page, and whether that master is ours."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.deployment.host import Host
from provisioner.errors import ProvisionerError
from provisioner.steps import background
from provisioner.steps.layout import Layout


def master_page(first: Host) -> dict[str, Any] | None:
    """What the master on the first host itself says (its JSON page); None while nothing listens there."""
    port = first.spec.spark.master_page_port
    try:
        first.facts()  # its private address may be among them
        address = page_address(first)
        channel = first.connection().dial(address, port)
    except (OSError, ProvisionerError):
        return None
    client = http.client.HTTPConnection(address, port, timeout=10)
    client.sock = channel
    try:
        client.request("GET", "/json/", headers={"Connection": "close"})
        answer = client.getresponse()
        page = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None  # it listens but is not up yet: the caller's deadline decides
    finally:
        client.close()
    return page if isinstance(page, dict) else None


@dataclass(frozen=True)
class LiveWorker:
    """A worker that the master counts as alive; `page_port` is None where the master tells none."""

    host: str
    page_port: int | None


def live_workers(page: Mapping[str, Any]) -> list[LiveWorker]:
    """The workers on the master's page, which a host has written: what is not of Spark's form is passed over."""
    workers = page.get("workers")
    return [
        LiveWorker(worker["host"], _port_of(worker.get("webuiaddress")))
        for worker in (workers if isinstance(workers, list) else [])
        if isinstance(worker, dict) and worker.get("state") == "ALIVE" and isinstance(worker.get("host"), str)
    ]


def _port_of(url: Any) -> int | None:
    match = re.fullmatch(r"https?://[^/]+:([0-9]{1,5})/?", url) if isinstance(url, str) else None
    return int(match[1]) if match and 0 < int(match[1]) < 2**16 else None


def is_ours(first: Host, page: Mapping[str, Any]) -> bool:
    """Whether a master's page is that of the process that we started on the first host.

    It could be that of any Spark there: another deployment's, or a user's own.
    """
    first.facts()
    layout = Layout(first, first)
    if page.get("url") != layout.master_url:
        return False
    look = background.is_running("deploy.master", layout.master_pids)
    return first.shell().run(look, check=False).status == 0


def page_address(first: Host) -> str:
    """Where master and history server listen, as seen from their own host, the first."""
    return first.cluster_address if first.spec.spark.master == "address" else "127.0.0.1"
