"""Deployments whose outside is made of fakes; the state folder alone is real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from provisioner import inventory
from provisioner.adapters.store import FolderStore
from provisioner.deployment import Ports, Session
from provisioner.deployment.journal import Journal
from provisioner.deployment.state import Place, State
from provisioner.hosts.address import HostAddress
from provisioner.inventory.spec import Dtype, Spec
from provisioner.operations import opening
from provisioner.resources import Kind
from provisioner.runner import Event, Runner
from provisioner.step import Finding, Phase, Plan, Step
from provisioner.steps.host_key import HostKeyStep
from provisioner.steps.spark import ConfigureStep
from provisioner.steps.training import TrainStep
from tests.support.clock import FakeClock
from tests.support.cloud import FakeCloud, Fuse, Killed
from tests.support.hosts import FakeConnector, FakeHost

CALLER = "203.0.113.7/32"
PUBLIC_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 demo"


def spec(text: str = "", **sections: Any) -> Spec:
    """An inventory: one hfc7 on the simulator without Docker, unless its sections say otherwise."""
    import yaml

    given = {"name": "demo", "provider": "simulator", "runtime": "host", **sections, **(yaml.safe_load(text) or {})}
    return inventory.parse(yaml.safe_dump(given, sort_keys=False), "demo.yaml")


def static_spec(*names: str, **sections: Any) -> Spec:
    """An inventory of hosts that exist already."""
    hosts = [{"name": name, "address": f"192.0.2.{number}"} for number, name in enumerate(names, 1)]
    return spec(provider="static", hosts=hosts, **sections)


def place_of(spec: Spec) -> Place:
    """Where the fake cloud is, or none."""
    if not spec.creates_instances:
        return Place(provider=spec.provider)
    return Place(provider=spec.provider, region=spec.cloud.region, account_id=FakeCloud.account_id)


def began(spec: Spec, **fields: Any) -> FolderStore:
    """The folder of a deployment that `up` has begun; `fields` of its state are as given."""
    store = FolderStore.open(spec.name, create=True)
    opening.begin(store, spec, place_of(spec))
    with store.changing() as state:
        for field, value in fields.items():
            setattr(state, field, value)
    return store


def place_hosts(store: FolderStore, addresses: Sequence[HostAddress]) -> None:
    """Let the state say where the instances are."""
    with store.changing() as state:
        state.hosts = tuple(addresses)


def train_step(session: Session, dtype: Dtype, *, again: bool = False) -> TrainStep:
    """The training of an open deployment."""
    return TrainStep(session.hosts, session.results, dtype, session.progress, session.program, again=again)


def host_key_step(session: Session) -> HostKeyStep:
    """The step that reads the host keys of an open deployment."""
    return HostKeyStep(session.access, session.hosts, session.known_hosts)


def configure(session: Session, host: str) -> ConfigureStep:
    """The step that configures Spark on a host."""
    return ConfigureStep(session.host(host), session.hosts[0], lambda: session.secret("spark"))


def left_open(journal: Journal, kind: Kind, key: str = "") -> str:
    """Begin a creation whose answer is never known; its ClientToken."""
    tokens: list[str] = []

    def call(token: str) -> list[str]:
        tokens.append(token)
        raise Killed("before the answer")

    with suppress(Killed):
        journal.create(kind, key, call)
    return tokens[0]


class FusedStore(FolderStore):
    """The real folder; the process can die before and after each of its writes."""

    fuse = Fuse()

    def _save(self, content: bytes) -> None:
        self.fuse.cross()
        super()._save(content)
        self.fuse.cross()


class Bench:
    """One deployment on a workbench: its fakes, what was told, and how to begin again as a new process would.

    Attributes:
        caller: where SSH is let in from.
        told: progress lines.
        events: what the runner emitted.
    """

    def __init__(self, spec: Spec, *hosts: FakeHost, cloud: FakeCloud | None = None, run_id: str = "r1") -> None:
        self.spec = spec
        self.cloud = cloud if cloud is not None else FakeCloud()
        self.clock = FakeClock()
        self.cloud.now = self.clock.now
        self.connector = FakeConnector(*hosts)
        self.caller: tuple[str, ...] = (CALLER,)
        self.told: list[str] = []
        self.events: list[Event] = []
        store = FusedStore.open(spec.name, create=True)
        assert isinstance(store, FusedStore)
        self.store = store
        self.store.fuse = self.cloud.fuse
        if not self.store.began:
            self.store.keep(State.begin(spec, place_of(spec), self.clock.now()).model_copy(update={"run_id": run_id}))
        self.open(spec)

    def open(self, spec: Spec) -> None:
        """Open it, with an inventory."""
        self.session = Session(spec, self.ports())

    def ports(self) -> Ports:
        return Ports(
            store=self.store,
            clock=self.clock,
            connector=self.connector,
            cloud=(lambda: self.cloud) if self.spec.creates_instances else None,
            progress=self.told.append,
            caller_cidrs=lambda: self.caller,
            public_key=lambda: PUBLIC_KEY,
        )

    def again(self, **changes: Any) -> Bench:
        """A new process: everything in memory is gone; the cloud, the hosts and the folder are as they are.
        `changes` are sections of the inventory that differ now."""
        self.cloud.fuse = Fuse()
        new_spec = self.spec if not changes else spec(**{**self.spec.model_dump(exclude_unset=True), **changes})
        bench = Bench(new_spec, *self.connector.hosts.values(), cloud=self.cloud)
        bench.caller = self.caller
        return bench

    def light(self, at: int | None) -> None:
        """Let the process die at the `at`-th crossing from here."""
        fuse = Fuse(at)
        self.cloud.fuse = fuse
        self.store.fuse = fuse

    def runner(self, *steps: Step | Phase) -> Runner:
        """A runner of phases, of steps as one phase, or of the whole plan."""
        from provisioner import steps as all_steps

        if not steps:
            plan = all_steps.plan(self.session)
        elif isinstance(steps[0], Phase):
            plan = Plan(self.spec.name, steps)  # type: ignore[arg-type]
        else:
            plan = Plan(self.spec.name, (Phase("only", steps),))  # type: ignore[arg-type]
        return Runner(self.session, plan, self.events.append)

    def cloud_runner(self) -> Runner:
        """A runner of the phases that the cloud alone has part in."""
        from provisioner import steps as all_steps

        phases = all_steps.plan(self.session).phases
        chosen = tuple(phase for phase in phases if phase.name in ("network", "instances"))
        for step in (step for phase in chosen for step in phase.steps):
            step.check = self._writing_nothing(step.check)  # type: ignore[method-assign]
        return Runner(self.session, Plan(self.spec.name, chosen), self.events.append)

    def _writing_nothing(self, check: Callable[[], Finding]) -> Callable[[], Finding]:
        def guarded() -> Finding:
            self.store.read_only = True
            try:
                return check()
            finally:
                self.store.read_only = False

        return guarded

    def emitted(self, kind: str) -> list[str]:
        """The step names of the events of a kind."""
        return [event.step for event in self.events if event.kind == kind]
