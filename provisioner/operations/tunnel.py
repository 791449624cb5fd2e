"""`tunnel`: Spark's pages on local ports, through the host's verified connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.deployment import Host, Session
from provisioner.errors import ConnectError, HostError, ProvisionerError, UsageError
from provisioner.operations.hosts import looking_at
from provisioner.ports import Connection
from provisioner.step import Presence
from provisioner.steps import plan
from provisioner.steps.history import HistoryStep
from provisioner.steps.master_page import is_ours, live_workers, master_page

APPLICATION_PORT = 4040


@dataclass(frozen=True)
class Page:
    """A page of Spark's: where it is, seen from the host that the connection leads to."""

    title: str
    connection: Connection
    address: str
    port: int


def tunnel(
    name: str, on_ready: Callable[[Sequence[tuple[Page, str]]], None], tell: Callable[[str], None] = lambda text: None
) -> None:
    """Bring the pages of a deployment's Spark to local ports, until KeyboardInterrupt.

    `on_ready` is told each page's local URL, `tell` of a page that cannot be had. Raises UsageError for a deployment
    without Spark.
    """
    with looking_at(name) as session:
        if session.spec.workload.engine == "local":
            raise UsageError(f"{name} runs its training without Spark, so there are no pages", "see `provisioner logs`")
        serve(pages(session, tell), on_ready)


def pages(session: Session, tell: Callable[[str], None]) -> list[Page]:
    """The master's page, each worker's as the master knows them, the application's and the history server's.

    The last is started where it does not run: after a training that failed its pages say what happened. A page that
    cannot be had, since another program has its port, is left out, and `tell` hears of it.
    """
    first = session.hosts[0]
    history = _history(session, tell)
    spark = session.spec.spark
    by_hostname = spark.master == "hostname"  # then Spark listens on every address

    def page(title: str, host: Host, port: int) -> Page:
        return Page(title, host.connection(), "127.0.0.1" if by_hostname else host.address.private, port)

    hosts = {host.facts().hostname: host for host in session.hosts}
    hosts |= {host.address.private: host for host in session.hosts}
    pages = []
    master = master_page(first)
    if master is not None and not is_ours(first, master):
        port, name = spark.master_page_port, session.deployment.name
        tell(f"port {port} of {first.name} has the page of another Spark than {name}'s")
    else:  # also where nothing answers: the page opens once the master is back
        pages.append(page("Spark master", first, spark.master_page_port))
        for worker in live_workers(master or {}):
            host = hosts.get(worker.host)
            if host and worker.page_port:
                pages.append(page(f"worker on {host.name}", host, worker.page_port))
    pages.append(page("running application", first, APPLICATION_PORT))
    if history:
        pages.append(page("history", first, spark.history_page_port))
    return pages


def _history(session: Session, tell: Callable[[str], None]) -> HistoryStep | None:
    """The step, where the deployment has one, once its server runs."""
    step = next((step for _, step in plan(session).steps() if isinstance(step, HistoryStep)), None)
    if step and step.check().presence is not Presence.PRESENT:
        try:
            step.apply()
        except ConnectError:
            raise
        except HostError as error:
            tell(f"no page of the history server: {error.message}")
            return None
    return step


def serve(pages: Sequence[Page], on_ready: Callable[[Sequence[tuple[Page, str]]], None]) -> None:
    """Listen on a loopback port for each page until Ctrl-C; `on_ready` is told each page's local URL."""
    listeners: list[socket.socket] = []
    try:
        for page in pages:
            listener = _listen(page.port)
            listeners.append(listener)
            threading.Thread(target=_accept, args=(listener, page), daemon=True).start()
        ports = (listener.getsockname()[1] for listener in listeners)
        on_ready([(page, f"http://127.0.0.1:{port}/") for page, port in zip(pages, ports, strict=True)])
        threading.Event().wait()
    finally:
        for listener in listeners:
            listener.close()


def _listen(preferred: int) -> socket.socket:
    """On the same port as over there, or on any that is free."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    raise ProvisionerError("no local port is free")


def _accept(listener: socket.socket, page: Page) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # closed: the tunnel ends
        threading.Thread(target=_carry, args=(client, page), daemon=True).start()


def _carry(client: socket.socket, page: Page) -> None:
    """One browser connection; where nothing listens over there it is closed at once."""
    try:
        remote = page.connection.dial(page.address, page.port)
    except (OSError, ProvisionerError):
        client.close()
        return
    back = threading.Thread(target=_pump, args=(remote, client), daemon=True)
    back.start()
    _pump(client, remote)
    back.join()
    client.close()
    remote.close()


def _pump(source: Any, target: Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
