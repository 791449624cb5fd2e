"""Take a deployment down: everything is removed, looked up again by tag, and its folder put to rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from provisioner import steps
from provisioner.deployment import Session
from provisioner.errors import InterruptedRun, PlaceGoneError, ProvisionerError, StateError, UsageError
from provisioner.inventory.spec import Spec
from provisioner.operations import opening
from provisioner.ports import Cloud
from provisioner.resources import Resource
from provisioner.runner import KINDS, Event, Failure, Runner

if TYPE_CHECKING:
    from provisioner.adapters.store import FolderStore


@dataclass(frozen=True)
class Proof:
    """That nothing is left: what was looked up, by which tags, and where. As text it is that sentence."""

    tags: Mapping[str, str]
    region: str
    account_id: str
    endpoint: str

    @classmethod
    def of(cls, cloud: Cloud, tags: Mapping[str, str]) -> Proof:
        """Of a look in this cloud. A tag whose value is "" was looked up with any."""
        return cls(tags, cloud.region, cloud.account_id, cloud.endpoint)

    def __str__(self) -> str:
        tags = ", ".join(f"{key}={value}" if value else key for key, value in self.tags.items())
        where = f"region {self.region}, account {self.account_id}, at {self.endpoint}"
        return f"looked up {', '.join(KINDS)} by tag {tags} in {where}: 0 left."


class Forgotten(NamedTuple):
    """What stays on a static host that could not be cleaned up: of which step, what it had done, and why it stays."""

    host: str
    step: str
    title: str
    error: ProvisionerError


@dataclass(frozen=True)
class Removal:
    """What was removed, and that nothing is left.

    Attributes:
        resources: what was removed in the cloud.
        proof: that nothing is left there; None without a cloud, or where the cloud itself is gone.
        gone: why there was nothing to remove, when the simulator that held it is gone.
        cleaned_hosts: the hosts that are not ours, on which Spark was stopped and its folder removed.
        forgotten: what stays on hosts that could not be cleaned up.
    """

    resources: tuple[Resource, ...] = ()
    proof: Proof | None = None
    gone: str = ""
    cleaned_hosts: tuple[str, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """It as `down --json` and `sweep --json` show it."""
        removed = [{"kind": each.kind, "id": each.id, "name": each.name} for each in self.resources]
        document: dict[str, Any] = {"removed": removed, "left": []}
        if self.forgotten:
            document["forgotten"] = [{"host": each.host, "step": each.step} for each in self.forgotten]
        return document


def down(name: str, emit: Callable[[Event], None] = lambda event: None, *, forget_hosts: bool = False) -> Removal:
    """Remove everything of a deployment, then look again by tag.

    Args:
        name: the deployment's.
        emit: hears what happens, from several threads. If it raises, the removal goes on to its end all the same.
        forget_hosts: leave static hosts that cannot be cleaned up as they are.

    Raises:
        UsageError: `forget_hosts` for instances, which go as a whole.
        StateError: there is no such deployment.
        LeftoverError: something is still there; it lists what.
        PartialFailureError: some hosts could not be cleaned up.
        InterruptedRun: Ctrl-C; the same call goes on with it.
    """
    spec, _ = checked(name, forget_hosts=forget_hosts)
    with opening.opened(spec, emit, create=False) as (session, record):
        if forget_hosts:
            for host in session.hosts:
                host.ready_timeout_s = spec.ssh.connect_timeout_s
        return remove_all(Runner(session, steps.plan(session), record), session, record, forget_hosts=forget_hosts)


def checked(name: str, *, forget_hosts: bool = False) -> tuple[Spec, tuple[str, ...]]:
    """The inventory of a deployment that may be taken down, and what of it only another version can read.

    Raises StateError when there is no such deployment, UsageError for `forget_hosts` of instances.
    """
    from provisioner.adapters.store import FolderStore

    spec, unread = FolderStore.open(name, create=False).state.spec()
    if forget_hosts and spec.creates_instances:
        raise UsageError(f"the hosts of {name} are instances, which go as a whole", "leave --forget-hosts out")
    return spec, unread


def remove_all(
    runner: Runner, session: Session, record: opening.Recorder, *, why: str = "", forget_hosts: bool = False
) -> Removal:
    """Undo everything, and put the folder to rest. `why` is told first. Telling about it never stops it.

    Raises what `down` raises; a second Ctrl-C ends it with InterruptedRun.
    """
    record.begin_removal()
    if why:
        record(Event("notice", why))
    resources: list[Resource] = []
    gone = ""
    try:
        resources = runner.down(forget_hosts=forget_hosts)
    except PlaceGoneError as error:
        gone = error.message
    except KeyboardInterrupt:
        name = session.spec.name
        raise InterruptedRun("interrupted while removing", f"`provisioner down {name}` goes on with it") from None
    try:
        opening.ended(cast("FolderStore", session.store))
    except StateError as error:
        sentence = f"everything was removed, which could not be noted: {error}; then `provisioner down` again notes it"
        record(Event("error", sentence))
    record.raise_failure()
    has_cloud = session.has_cloud
    forgotten = tuple(map(_forgotten, runner.forgotten))
    unclean = {each.host for each in forgotten}
    return Removal(
        resources=tuple(resources),
        proof=Proof.of(session.cloud, session.deployment.own_tags) if has_cloud and not gone else None,
        gone=gone,
        cleaned_hosts=() if has_cloud else tuple(h for h in session.deployment.host_names if h not in unclean),
        forgotten=forgotten,
    )


def _forgotten(failure: Failure) -> Forgotten:
    step = failure.step
    return Forgotten(step.host or "", step.name, step.describe().title, failure.error)
