"""One command's hold on one deployment: what it is, its hosts, its cloud, its records, and the adapters behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from provisioner import catalog
from provisioner.deployment.cloud_access import CloudAccess
from provisioner.deployment.deployment import Deployment
from provisioner.deployment.host import Host, Reach
from provisioner.deployment.journal import Journal
from provisioner.deployment.known_hosts import KnownHosts
from provisioner.deployment.recording import Recording
from provisioner.deployment.results import Results
from provisioner.deployment.state import GivenImage
from provisioner.deployment.store import Store
from provisioner.errors import StateError
from provisioner.hosts.facts import HostFacts
from provisioner.inventory.spec import Spec
from provisioner.ports import Clock, Cloud, Connection, Connector, Engine, HostLogs
from provisioner.secret import Secret


@dataclass(frozen=True)
class Ports:
    """The adapters. `cloud` connects, and is None for hosts that exist already; `progress` takes a line for the person,
    `untold` hears what could not be noted down, `caller_cidrs` says where SSH is to be let in from, `public_key` is the
    deployment's own SSH key, `program` is this program's version, with its commit where it runs from a checkout."""

    store: Store
    clock: Clock
    connector: Connector
    cloud: Callable[[], Cloud] | None = None
    engine: Callable[[Connection], Engine] | None = None
    progress: Callable[[str], None] = lambda text: None
    untold: Callable[[str], None] = lambda text: None
    caller_cidrs: Callable[[], tuple[str, ...]] = lambda: ()
    public_key: Callable[[], str] = lambda: ""
    host_logs: HostLogs | None = None
    program: Callable[[], str] = lambda: ""


class _OnlyDescribed:
    """In place of every adapter of a deployment that is only described."""

    def __getattr__(self, name: str) -> Any:
        raise StateError("this deployment was opened for describing only")


class Session:
    """A deployment, open. Without `ports` it can be described, nothing else.

    `steps.plan` hands each step the part of it that the step may touch.

    Attributes:
        deployment: what it is, as data.
        hosts: its hosts, in order; the Spark master runs on the first.
        ports: the adapters.
        journal: what is created in the cloud.
        results: what was measured.
        known_hosts: the hosts' SSH keys.
        access: the cloud, as its steps may use it.
    """

    def __init__(
        self,
        spec: Spec,
        ports: Ports | None = None,
        *,
        local_facts: HostFacts | None = None,
        described_types: dict[str, catalog.InstanceType] | None = None,
    ) -> None:
        run_id, place = (ports.store.state.run_id, ports.store.state.place) if ports else ("", None)
        self.deployment = Deployment(spec, run_id, place, local_facts, described_types or {})
        self.is_open = ports is not None
        self.ports = ports or cast("Ports", _OnlyDescribed())
        self._cloud: Cloud | None = None
        self._cloud_lock = threading.Lock()
        store, clock = (ports.store, ports.clock) if ports else cast("Any", (_OnlyDescribed(), _OnlyDescribed()))
        self.journal = Journal(store, clock, self.progress)
        self.results = Results(store)
        self.known_hosts = KnownHosts(store)
        self.access = CloudAccess(self.deployment, self._connected_cloud, self.journal, clock, self.progress)
        reach = _reach(ports) if ports else None
        self.hosts = tuple(Host(self.deployment, name, reach) for name in self.deployment.host_names)

    @property
    def spec(self) -> Spec:
        """The inventory."""
        return self.deployment.spec

    @property
    def store(self) -> Store:
        """The deployment's folder."""
        return self.ports.store

    @property
    def has_cloud(self) -> bool:
        """Whether there is a cloud to ask."""
        return self.is_open and self.ports.cloud is not None

    @property
    def cloud(self) -> Cloud:
        """The cloud of a deployment that has one, connected to, and verified, at the first question."""
        return self._connected_cloud()

    def _connected_cloud(self) -> Cloud:
        if self.ports.cloud is None:
            raise StateError(f"provider: {self.spec.provider} has no cloud")
        with self._cloud_lock:
            if self._cloud is None:
                self._cloud = self.ports.cloud()
            return self._cloud

    def host(self, name: str) -> Host:
        """The host of a name. Raises StateError when there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise StateError(
            f"{self.deployment.name} has no host {name}", f"it has {', '.join(self.deployment.host_names)}"
        )

    def progress(self, text: str) -> None:
        """A line for the person, about what is being waited for."""
        self.ports.progress(text)

    def caller_cidrs(self) -> tuple[str, ...]:
        """Where SSH is to be let in from."""
        return self.ports.caller_cidrs()

    def public_key(self) -> str:
        """The public half of the deployment's own SSH key."""
        return self.ports.public_key()

    def program(self) -> str:
        """This program's version."""
        return self.ports.program()

    def secret(self, name: str) -> Secret:
        """A secret of the deployment; in a plan, one that can only show its stars."""
        return self.store.secret(name) if self.is_open else Secret("********")

    def begin_removal(self) -> None:
        """From now on no disk that is full stops us, and a host that cannot be reached is waited for once."""
        self.store.begin_removal()
        for host in self.hosts:
            host.wait_once()

    def close(self) -> None:
        """End all connections."""
        for host in self.hosts:
            host.close()
        if self.is_open:
            self.ports.connector.close()


def _reach(ports: Ports) -> Reach:
    def note_image(host: str, image: GivenImage) -> None:
        with ports.store.changing() as state:
            state.images = {**state.images, host: image}

    return Reach(
        ports.connector,
        ports.clock,
        ports.engine,
        addresses=lambda: ports.store.state.hosts,
        progress=ports.progress,
        note_image=note_image,
        recording=Recording(ports.host_logs, ports.untold) if ports.host_logs else None,
    )
