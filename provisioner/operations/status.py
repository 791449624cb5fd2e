"""What deployments are at this moment: the cloud and the hosts are asked, not the state file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

from provisioner.deployment import Host, Session
from provisioner.deployment.state import State
from provisioner.errors import ProvisionerError
from provisioner.fan_out import fan_out
from provisioner.operations import opening, places
from provisioner.ports import ContainerState
from provisioner.resources import TAG_NAME, TAG_RUN, Instance
from provisioner.steps.master_page import is_ours, live_workers, master_page


@dataclass(frozen=True)
class Running:
    """What runs on a host, as far as its inventory asks for any; or `problem`, why it could not be asked.

    Attributes:
        engine: the version of the Docker engine; None where there is none, or none is asked for.
        container: ours; None where there is none, or none is asked for.
        workers: how many of the host's workers are alive, as Spark's master says; None without Spark.
        has_docker: whether the inventory asks for Docker.
    """

    has_docker: bool = False
    engine: str | None = None
    container: ContainerState | None = None
    workers: int | None = None
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """What was asked, as `status NAME --json` shows it."""
        if self.problem:
            return {"problem": self.problem}
        answer: dict[str, Any] = {}
        if self.has_docker:
            shown = ("name", "image", "status", "health", "since")
            container = {key: getattr(self.container, key) for key in shown} if self.container else None
            answer |= {"engine": self.engine, "container": container}
        if self.workers is not None:
            answer["workers"] = self.workers
        return answer


@dataclass(frozen=True)
class HostStatus:
    """One host. `instance` is what the cloud says of it, None for a host that is not ours; `running` what it says."""

    name: str
    address: str
    state: str
    instance: Instance | None = None
    running: Running | None = None

    @property
    def may_be_asked(self) -> bool:
        """Whether it can be expected to let us in."""
        return self.instance is None or self.state == "Running"

    def as_json(self) -> dict[str, Any]:
        """It as `status --json` shows it."""
        document: dict[str, Any] = {"name": self.name, "address": self.address, "state": self.state}
        if self.instance:
            document |= {"id": self.instance.id, "type": self.instance.instance_type, "zone": self.instance.zone}
        if self.running:
            document["inside"] = self.running.as_json()
        return document


@dataclass(frozen=True)
class Cost:
    """What all instances cost an hour, and have cost so far."""

    per_hour: float
    so_far: float
    currency: str


@dataclass(frozen=True)
class Status:
    """One deployment. `problem` says why it could not be asked, which then is its state as well.

    Attributes:
        age_s: of its oldest instance, or else since it was begun.
        release_in_s: until the first instance releases itself; None when none does.
        results: how many measurements there are.
    """

    name: str
    provider: str
    state: str
    hosts: tuple[HostStatus, ...] = ()
    age_s: int | None = None
    cost: Cost | None = None
    release_in_s: int | None = None
    results: int | None = None
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """It as `status --json` shows it."""
        document = {
            "name": self.name,
            "provider": self.provider,
            "state": self.state,
            "hosts": [host.as_json() for host in self.hosts],
            "age_s": self.age_s,
            "cost": asdict(self.cost) if self.cost else None,
            "release_in_s": self.release_in_s,
            "results": self.results,
        }
        return {**document, "problem": self.problem} if self.problem else document


def statuses(names: Sequence[str] | None = None) -> list[Status]:
    """What several deployments are, or all of this machine's, asked side by side.

    One that cannot be asked has a `problem`; nothing is raised for it. Raises StateError when there is none of a name.
    """
    from provisioner.adapters.store import list_deployments, require

    names = list_deployments() if names is None else names
    for each in names:
        require(each)

    def asked(name: str) -> Status:
        try:
            return status(name)
        except ProvisionerError as error:
            return Status(name, "-", f"could not be asked: {error}", problem=str(error))

    return fan_out(asked, names)


def status(name: str, *, at: datetime | None = None) -> Status:
    """What a deployment is, `at` this moment unless another is given for ages and costs.

    Raises StateError when there is none of that name, CloudError when its cloud does not answer.
    """
    from provisioner.adapters.store import FolderStore

    state = FolderStore.open(name, create=False).state
    spec = opening.saved_spec(name)
    now = at or datetime.now(timezone.utc)
    results = len(state.latest_results)
    if state.removed_at:
        return Status(name, spec.provider, "removed", results=results)
    begun_s = round((now - state.created_at).total_seconds())
    if not spec.creates_instances:
        hosts = tuple(HostStatus(host.name, host.address.address, "not ours") for host in Session(spec).hosts)
        return Status(name, spec.provider, "exists", hosts, age_s=begun_s, results=results)
    cloud = places.open_recorded(name, state.place, lambda text: None)
    instances = cloud.instances({TAG_NAME: name, TAG_RUN: state.run_id})
    if not instances:
        return Status(name, spec.provider, "no instances", age_s=begun_s, results=results)
    return Status(
        name,
        spec.provider,
        "exists",
        hosts=tuple(HostStatus(i.name, i.public_ip, i.state, i) for i in instances),
        age_s=max(_age_s(instance, now) for instance in instances),
        cost=_cost(state, instances, now),
        release_in_s=min((_release_in_s(i.auto_release_at, now) for i in instances if i.auto_release_at), default=None),
        results=results,
    )


def _age_s(instance: Instance, now: datetime) -> int:
    return round((now - instance.created_at).total_seconds())


def _release_in_s(release_at: datetime, now: datetime) -> int:
    return round((release_at - now).total_seconds())


def _cost(state: State, instances: Sequence[Instance], now: datetime) -> Cost | None:
    """As far as the price is known, which is that of all instances together."""
    price = state.price
    if not price:
        return None
    hours = sum((now - i.created_at).total_seconds() for i in instances) / 3600 / len(instances)
    return Cost(price.per_hour, round(price.per_hour * hours, 4), price.currency)


def with_running(deployment_status: Status) -> Status:
    """A status with what runs on each of the hosts, which are asked side by side."""
    asked = [host for host in deployment_status.hosts if host.may_be_asked]
    if not asked:
        return deployment_status
    spec = opening.hasty(opening.saved_spec(deployment_status.name))
    with opening.looking(spec) as session:
        first = session.hosts[0]
        answers = fan_out(lambda host: running_on(session.host(host.name), first), asked, on_interrupt=session.close)
        running = {host.name: answer for host, answer in zip(asked, answers, strict=True)}
    hosts = tuple(replace(host, running=running.get(host.name)) for host in deployment_status.hosts)
    return replace(deployment_status, hosts=hosts)


def running_on(host: Host, first: Host) -> Running:
    """What runs on a host; `first` is the one with Spark's master."""
    try:
        answer = Running(has_docker=host.spec.runtime == "docker")
        if answer.has_docker:
            engine = host.engine()
            version = engine.ping()
            container = engine.container(host.deployment.container) if version else None
            answer = replace(answer, engine=version, container=container)
        if host.spec.workload.engine != "local":
            page = master_page(first)
            workers = live_workers(page) if page and is_ours(first, page) else []
            names = {host.facts().hostname, host.address.private}
            answer = replace(answer, workers=sum(worker.host in names for worker in workers))
    except ProvisionerError as error:
        return Running(problem=error.message)
    return answer
