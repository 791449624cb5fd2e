"""What the steps of one deployment share: the inventory, the ways to the outside, and what was learned so far.

Before anything exists a step describes itself with *expected* names and facts (from the catalog); once hosts are known
the same code uses the real ones, so plan and run cannot disagree in anything but what the hosts themselves say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from provisioner import catalog
from provisioner.deployment.journal import Journal
from provisioner.deployment.recording import RecordedConnection, RecordedShell, Recording
from provisioner.deployment.store import Store
from provisioner.errors import ConnectError, DriftError, StateError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.expected import expected_facts
from provisioner.hosts.facts import FACTS_SCRIPT, Cpu, HostFacts, parse_facts
from provisioner.inventory.spec import Spec
from provisioner.ports import Clock, Cloud, Connection, Connector, Engine, HostLogs, OnLine, Shell
from provisioner.resources import TAG_NAME, TAG_RUN, Instance, Resource
from provisioner.secret import Secret

Tagged = TypeVar("Tagged", Resource, Instance)


@dataclass(frozen=True)
class Outside:
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


@dataclass
class Deployment:
    """One deployment. Without `outside` it can be described, nothing else.

    `patience_s`: how long a host is waited for, in place of the inventory's `ssh.ready_timeout_s`.
    """

    spec: Spec
    outside: Outside | None = None
    local_facts: HostFacts | None = None
    removed: list[Resource] = field(default_factory=list)
    described_types: dict[str, catalog.InstanceType] = field(default_factory=dict)
    patience_s: float | None = None
    _connections: dict[str, Connection] = field(default_factory=dict)
    _unreachable: dict[str, ConnectError] = field(default_factory=dict)
    _removing: bool = False
    _facts: dict[str, HostFacts] = field(default_factory=dict)
    _engines: dict[str, Engine] = field(default_factory=dict)
    _shells: dict[str, Shell] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cloud: Cloud | None = None
    _cloud_lock: threading.Lock = field(default_factory=threading.Lock)
    _recording: Recording | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.outside is not None and self.outside.host_logs is not None:
            self._recording = Recording(self.outside.host_logs, self.outside.untold)

    # ------------------------------------------------------------------------------------------------- names

    @property
    def host_names(self) -> tuple[str, ...]:
        """The hosts in order; the Spark master runs on the first."""
        spec = self.spec
        if spec.creates_instances:
            return tuple(f"{spec.name}-{number:03d}" for number in range(1, spec.cloud.count + 1))
        return tuple(host.name for host in spec.hosts) or ("localhost",)

    @property
    def host_owner(self) -> str | None:
        """What dies with a host: on instances of ours, everything; on other people's hosts we clean up ourselves."""
        return "instances" if self.spec.creates_instances else None

    @property
    def tags(self) -> dict[str, str]:
        """The tags that every resource gets in the call that creates it."""
        return {**self.spec.cloud.tags, **self.own_tags}

    @property
    def own_tags(self) -> dict[str, str]:
        """The tags that find this deployment's resources and nobody else's.

        The name alone would not do: a colleague or a CI job may use the same inventory in the same account.
        """
        return {TAG_NAME: self.spec.name, TAG_RUN: self.run_id}

    @property
    def journal(self) -> Journal:
        """What is created in the cloud."""
        return Journal(self.store, self.ports.clock, self.progress)

    def only_ours(self, found: Sequence[Tagged]) -> list[Tagged]:
        """What was found by the name alone, when all of it is ours. Raises DriftError when some of it is not."""
        others = [resource for resource in found if resource.tags.get(TAG_RUN) != self.run_id]
        if others:
            raise DriftError(
                f"the name {self.spec.name} is taken by another run: {', '.join(resource.id for resource in others)}",
                "choose another name; or, if their state folder is lost, "
                f"`provisioner sweep --region {self.spec.cloud.region}` removes them",
            )
        return list(found)

    @property
    def run_id(self) -> str:
        """Tells this deployment from an earlier one of the same name."""
        return self.store.state.run_id

    # ------------------------------------------------------------------------------------------------- outside

    @property
    def ports(self) -> Outside:
        """The outside; a step's `check`, `apply` and `undo` may use it, `describe` may not."""
        if self.outside is None:
            raise StateError("this deployment was opened for describing only")
        return self.outside

    @property
    def cloud(self) -> Cloud:
        """The cloud of a deployment that has one, connected to at the first question."""
        if self.ports.cloud is None:
            raise StateError(f"provider: {self.spec.provider} has no cloud")
        with self._cloud_lock:
            if self._cloud is None:
                self._cloud = self.ports.cloud()
            return self._cloud

    @property
    def store(self) -> Store:
        """The deployment's folder."""
        return self.ports.store

    def progress(self, text: str) -> None:
        """A line for the person, about what is being waited for."""
        self.ports.progress(text)

    # ------------------------------------------------------------------------------------------------- hosts

    def set_addresses(self, addresses: list[HostAddress]) -> None:
        """Remember where the hosts are."""
        with self.store.changing() as state:
            state.hosts = tuple(addresses)

    def address(self, host: str) -> HostAddress:
        """Where a host is. Raises StateError while it does not exist."""
        spec = self.spec
        if spec.provider == "local":
            return HostAddress(host, "127.0.0.1", "127.0.0.1")
        for given in spec.hosts:
            if given.name == host:
                return HostAddress(
                    host, given.address, given.address, given.port or spec.ssh.port, given.user or spec.ssh.user
                )
        for known in self.store.state.hosts if self.outside else ():
            if known.name == host:
                return known
        raise StateError(f"host {host} does not exist yet", "`provisioner up` creates it")

    def master(self) -> str:
        """The address at which the cluster finds its master: the first host's, private where it has one.

        Before there are hosts it is the first host's name, which is what a plan shows.
        """
        first = self.host_names[0]
        try:
            return self.address(first).private
        except StateError:
            return first

    def connection(self, host: str) -> Connection:
        """The one connection to a host, made at the first call."""
        connection = self._connection(host)
        return connection if self._recording is None else RecordedConnection(connection, self._recording)

    def recorded(self, host: str | None, title: str) -> AbstractContextManager[None]:
        """Meanwhile, what commands print on the host goes to its log, where the deployment has logs."""
        return nullcontext() if host is None or self._recording is None else self._recording.of(host, title)

    def recorder(self, host: str, title: str, on_line: OnLine) -> OnLine:
        """`on_line`, and the host's log: for what an engine prints, which is no command's output."""
        return (self._recording and self._recording.lines(host, title, on_line)) or on_line

    def _connection(self, host: str) -> Connection:
        with self._lock:
            lock = self._locks.setdefault(host, threading.Lock())
        with lock:
            unreachable = self._unreachable
            if host in unreachable:
                raise unreachable[host]
            if host not in self._connections:
                try:
                    self._connections[host] = self.ports.connector.connect(
                        self.address(host), ready_timeout_s=self.patience_s or self.spec.ssh.ready_timeout_s
                    )
                except ConnectError as error:
                    if self._removing:
                        unreachable[host] = error
                    raise
            return self._connections[host]

    def begin_removal(self) -> None:
        """From now on no disk that is full stops us, and a host that cannot be reached is waited for once."""
        self._removing = True
        self.store.begin_removal()

    def shell(self, host: str) -> Shell:
        """Where Spark and the training run: the host itself, or its container."""
        if self.spec.runtime == "host":
            return self.connection(host)
        with self._lock:
            shell = self._shells.get(host)
        if shell is None:
            shell = self.engine(host).shell(self.container)
            if self._recording is not None:
                shell = RecordedShell(shell, host, self._recording)
            with self._lock:
                self._shells[host] = shell
        return shell

    def engine(self, host: str) -> Engine:
        """The Docker engine of a host, through its connection."""
        if self.ports.engine is None:
            raise StateError("no Docker engine is wired into this run")
        connection = self._connection(host)
        with self._lock:
            if host not in self._engines:
                self._engines[host] = self.ports.engine(connection)
            return self._engines[host]

    @property
    def container(self) -> str:
        """The container's name."""
        return self.spec.image.container if self.spec.image else ""

    @property
    def container_image(self) -> catalog.ContainerImage:
        """Where things are inside the inventory's image; an unknown one is taken to be like our own usual build."""
        image = self.spec.image
        known = catalog.container_image(image.pull or image.build or "") if image else None
        return known or catalog.usual_recipe()

    def facts(self, host: str) -> HostFacts:
        """What a host is, read from it at the first call."""
        if host not in self._facts:
            connection = self.connection(host)
            self._facts[host] = parse_facts(connection.run(FACTS_SCRIPT, timeout_s=60).output, host)
        return self._facts[host]

    def facts_or_expected(self, host: str) -> HostFacts:
        """The facts that were read, or before that, those to expect."""
        if host in self._facts:
            return self._facts[host]
        spec = self.spec
        home = "/root" if spec.ssh.user == "root" else f"/home/{spec.ssh.user}"
        if spec.creates_instances:
            known = self.instance_type(spec.cloud.instance_types[0])
            if known is not None:
                expected = expected_facts(known, host, spec.cloud.image_family)
                return replace(expected, home=home, user=spec.ssh.user)
        if spec.provider == "local" and self.local_facts is not None:
            return self.local_facts
        count = spec.spark.workers if isinstance(spec.spark.workers, int) else 2
        return HostFacts(
            hostname=host,
            home=home,
            user=spec.ssh.user,
            distribution="",
            distribution_version="",
            package_manager="",
            cpu_model="",
            cpu_flags=frozenset(),
            cpus=tuple(Cpu(number, number, 0, 0) for number in range(count)),
            memory_gib=0,
            disk_free_gib=0,
            programs=frozenset({"numactl"}),
        )

    def instance_type(self, name: str) -> catalog.InstanceType | None:
        """A type of the catalog, or one that the service was asked about; None for any other."""
        return catalog.lookup(name) or self.described_types.get(name)

    def rented_type(self, host: str) -> catalog.InstanceType | None:
        """What was rented for a host; None for a host that is not ours, or a type that nobody described."""
        return self.instance_type(self.address(host).instance_type)

    def forget_facts(self, host: str) -> None:
        """Read them again at the next question: programs were installed."""
        self._facts.pop(host, None)

    def facts_are_known(self, host: str) -> bool:
        """Whether a plan's worker sets come from the catalog or the host, and are not a stand-in."""
        if self.spec.creates_instances:
            return host in self._facts or self.instance_type(self.spec.cloud.instance_types[0]) is not None
        return host in self._facts or self.spec.provider == "local"

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            connections = list(self._connections.values())
            self._connections.clear()
            self._unreachable = {}  # a new one: who is still connecting fails for having been cut off
            self._engines.clear()
            self._shells.clear()
        for connection in connections:
            connection.close()
        if self.outside is not None:
            self.outside.connector.close()

    # ------------------------------------------------------------------------------------------------- secrets

    def secret(self, name: str) -> Secret:
        """A secret of the deployment; in a plan, one that can only show its stars."""
        if self.outside is None:
            return Secret("********")
        return self.store.secret(name)

    def next_run(self, name: str) -> str:
        """A name for a run that no other run of this deployment has, nor had in an earlier life: `NAME-NUMBER`."""
        with self.store.changing() as state:
            number = state.runs.get(name, 0) + 1
            state.runs = {**state.runs, name: number}
        return f"{name}-{number}"

    def remember_result(self, result: dict[str, Any]) -> None:
        """Keep a measurement."""
        with self.store.changing() as state:
            state.results = (*state.results, {"life": state.run_id, **result})
