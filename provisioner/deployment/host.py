"""One host of a deployment: where it is, what it is, and the ways to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from provisioner import catalog
from provisioner.deployment.deployment import Deployment
from provisioner.deployment.recording import RecordedConnection, RecordedShell, Recording
from provisioner.deployment.state import GivenImage
from provisioner.errors import ConnectError, StateError
from provisioner.hosts.address import HostAddress, private_address
from provisioner.hosts.expected import expected_facts
from provisioner.hosts.facts import FACTS_SCRIPT, Cpu, HostFacts, parse_facts
from provisioner.inventory.spec import Spec
from provisioner.ports import Clock, Connection, Connector, Engine, OnLine, Shell


@dataclass(frozen=True)
class Reach:
    """How the hosts of a deployment are reached: the same for all of them.

    Attributes:
        connector: makes connections.
        clock: time.
        engine: the Docker engine behind a connection; None where no Docker is used.
        addresses: where the instances are that exist by now.
        progress: takes a line for the person.
        note_image: keeps the container image that a host was given.
        recording: what the hosts' commands print, into their logs; None where there are no logs.
    """

    connector: Connector
    clock: Clock
    engine: Callable[[Connection], Engine] | None
    addresses: Callable[[], Sequence[HostAddress]]
    progress: Callable[[str], None]
    note_image: Callable[[str, GivenImage], None]
    recording: Recording | None = None


class Host:
    """One host. Without a `reach` it can be described from what is to be expected of it, nothing else.

    Before a host exists the same code uses *expected* names and facts (from the catalog) and later the real ones, so
    plan and run cannot disagree in anything but what the host itself says. Safe to use from several threads.

    Attributes:
        name: its name in the inventory, or the one that its instance gets.
        deployment: what it belongs to.
        ready_timeout_s: how long it is waited for.
    """

    def __init__(self, deployment: Deployment, name: str, reach: Reach | None = None) -> None:
        self.name = name
        self.deployment = deployment
        self.ready_timeout_s: float = deployment.spec.ssh.ready_timeout_s
        self._reach = reach
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._engine: Engine | None = None
        self._shell: Shell | None = None
        self._facts: HostFacts | None = None
        self._waits_once = False
        self._failures: list[ConnectError] = []

    @property
    def spec(self) -> Spec:
        """The inventory."""
        return self.deployment.spec

    @property
    def is_ours(self) -> bool:
        """Whether it goes with the deployment, and all that is on it; on other people's hosts we clean up."""
        return self.spec.creates_instances

    @property
    def work_folder(self) -> str:
        """The deployment's folder where Spark runs: in the login's home, or where the image has room for it."""
        if self.spec.runtime == "docker":
            return self.deployment.container_image.work_dir + "/provisioner"
        # Whoever is connected can know the home, and must: below the one to expect, somebody else's may be.
        facts = self.facts_or_expected if self._connection is None else self.facts()
        return f"{facts.home}/provisioner/{self.spec.name}"

    # ------------------------------------------------------------------------------------------------- address

    @property
    def address(self) -> HostAddress:
        """Where it is; of a host that is there already, its private address as far as its facts are known.

        Raises StateError while it does not exist.
        """
        spec = self.spec
        if spec.provider == "local":
            return HostAddress(self.name, "127.0.0.1", "127.0.0.1")
        for given in spec.hosts:
            if given.name == self.name:
                port, user = given.port or spec.ssh.port, given.user or spec.ssh.user
                private = given.private_address
                if private is None:
                    private = private_address(given.address, self._facts) if self._facts else given.address
                return HostAddress(self.name, given.address, private, port, user)
        for address in self._reach.addresses() if self._reach else ():
            if address.name == self.name:
                return address
        raise StateError(f"host {self.name} does not exist yet", "`provisioner up` creates it")

    @property
    def cluster_address(self) -> str:
        """What the other hosts call it: its private address; before it exists its name, which is what a plan shows."""
        try:
            return self.address.private
        except StateError:
            return self.name

    @property
    def rented_type(self) -> catalog.InstanceType | None:
        """What was rented; None for a host that is not ours, or a type that nobody described."""
        return self.deployment.instance_type(self.address.instance_type)

    # ------------------------------------------------------------------------------------------------- the ways to it

    def connection(self) -> Connection:
        """The one connection to it, made at the first question. Raises ConnectError."""
        connection, recording = self._connected(), self._to.recording
        return connection if recording is None else RecordedConnection(connection, recording)

    def shell(self) -> Shell:
        """Where Spark and the training run: the host itself, or its container."""
        if self.spec.runtime == "host":
            return self.connection()
        if self._shell is None:
            shell, recording = self.engine().shell(self.deployment.container), self._to.recording
            self._shell = shell if recording is None else RecordedShell(shell, self.name, recording)
        return self._shell

    def engine(self) -> Engine:
        """Its Docker engine, through its connection."""
        if self._to.engine is None:
            raise StateError("no Docker engine is wired into this run")
        connection = self._connected()
        if self._engine is None:
            self._engine = self._to.engine(connection)
        return self._engine

    @property
    def clock(self) -> Clock:
        """Time, for who waits for something on it."""
        return self._to.clock

    @property
    def _to(self) -> Reach:
        if self._reach is None:
            raise StateError("this deployment was opened for describing only")
        return self._reach

    def _connected(self) -> Connection:
        with self._lock:
            failures = self._failures
            if failures:
                raise failures[0]
            if self._connection is None:
                try:
                    self._connection = self._to.connector.connect(self.address, ready_timeout_s=self.ready_timeout_s)
                except ConnectError as error:
                    if self._waits_once:
                        failures.append(error)
                    raise
            return self._connection

    def wait_once(self) -> None:
        """From now on, when it cannot be reached, that is known and not tried again."""
        self._waits_once = True

    def close(self) -> None:
        """End its connection; the next question makes a new one."""
        connection, self._connection = self._connection, None
        self._failures = []  # a new one: who is still connecting fails for having been cut off
        self._engine = self._shell = None
        if connection is not None:
            connection.close()

    # ------------------------------------------------------------------------------------------------- told, kept

    def tell(self, text: str) -> None:
        """A line for the person, about this host."""
        self._to.progress(f"{self.name}: {text}")

    def recorded(self, title: str) -> AbstractContextManager[None]:
        """Meanwhile, what its commands print goes to its log, where there are logs."""
        recording = self._to.recording
        return nullcontext() if recording is None else recording.of(self.name, title)

    def recorder(self, title: str, on_line: OnLine) -> OnLine:
        """`on_line`, and its log: for what an engine prints, which is no command's output."""
        recording = self._to.recording
        return (recording and recording.lines(self.name, title, on_line)) or on_line

    def note_image(self, tag: str, digest: str) -> None:
        """Keep which container image it was given."""
        self._to.note_image(self.name, GivenImage(tag=tag, digest=digest))

    # ------------------------------------------------------------------------------------------------- facts

    def facts(self) -> HostFacts:
        """What it is, read from it at the first question."""
        if self._facts is None:
            self._facts = parse_facts(self.connection().run(FACTS_SCRIPT, timeout_s=60).output, self.name)
        return self._facts

    def forget_facts(self) -> None:
        """Read them again at the next question: programs were installed."""
        self._facts = None

    @property
    def facts_are_known(self) -> bool:
        """Whether a plan's worker sets come from the catalog or the host, and are not a stand-in."""
        if self.spec.creates_instances:
            instance_type = self.deployment.instance_type(self.spec.cloud.instance_types[0])
            return self._facts is not None or instance_type is not None
        return self._facts is not None or self.spec.provider == "local"

    @property
    def facts_or_expected(self) -> HostFacts:
        """The facts that were read, or before that, those to expect."""
        if self._facts is not None:
            return self._facts
        spec = self.spec
        home = "/root" if spec.ssh.user == "root" else f"/home/{spec.ssh.user}"
        if spec.creates_instances:
            instance_type = self.deployment.instance_type(spec.cloud.instance_types[0])
            if instance_type is not None:
                expected = expected_facts(instance_type, self.name, spec.cloud.image_family)
                return replace(expected, home=home, user=spec.ssh.user)
        if spec.provider == "local" and self.deployment.local_facts is not None:
            return self.deployment.local_facts
        count = spec.spark.workers if isinstance(spec.spark.workers, int) else 2
        return HostFacts(
            hostname=self.name,
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
