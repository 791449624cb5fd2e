"""Deployments of this machine: begun, opened to be worked on or looked at, and put to rest. Each has a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from provisioner.deployment import Session
from provisioner.deployment.state import Place, State
from provisioner.errors import DriftError, StateError
from provisioner.inventory.spec import Spec
from provisioner.operations import places, wiring
from provisioner.operations.wiring import Emit
from provisioner.runner import Event

if TYPE_CHECKING:
    from provisioner.adapters.store import FolderStore

PATIENCE_S = 10.0
"""For one host to let us in: who only looks does not wait for a host that is booting."""


class Recorder:
    """Keeps events in the deployment's folder and passes them on.

    Where they cannot be kept they are passed on all the same. Once removing has begun, a callback that fails stops
    nothing: it hears no more, and `raise_failure` raises what it raised.
    """

    def __init__(self, store: FolderStore, emit: Emit) -> None:
        self._store = store
        self._emit = emit
        self._kept = True
        self._removing = False
        self._failure: Exception | None = None

    def __call__(self, event: Event) -> None:
        """Keep one, and pass it on."""
        if self._kept and event.kind != "progress":
            at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            try:
                self._store.append("events.jsonl", json.dumps({"at": at, **event.as_json()}))
            except StateError as error:
                self._kept = False
                self._pass_on(Event("error", str(error)))
        self._pass_on(event)

    def begin_removal(self) -> None:
        """From now on removing comes before telling about it."""
        self._removing = True

    def raise_failure(self) -> None:
        """Raise what the callback raised during the removal, if it did."""
        if self._failure:
            raise self._failure

    def _pass_on(self, event: Event) -> None:
        if self._failure:
            return
        try:
            self._emit(event)
        except Exception as failure:
            if not self._removing:
                raise
            self._failure = failure


@contextmanager
def opened(spec: Spec, emit: Emit, *, create: bool) -> Iterator[tuple[Session, Recorder]]:
    """A deployment with its folder locked and its adapters built, and what to tell events to, which also keeps them.

    Connections are closed at the end. With `create` the deployment begins where the inventory leads to, without one it
    must have begun. Raises DriftError when it lives elsewhere; no folder is made before the cloud has let us in.
    """
    from provisioner.adapters.store import FolderStore

    place, cloud = Place(provider=spec.provider), None
    if create and spec.creates_instances:
        place, cloud = places.of_inventory(spec, wiring.progress_to(emit))
    store = FolderStore.open(spec.name, create=create)
    with store.lock():
        if create:
            begin(store, spec, place)

        record = Recorder(store, emit)
        session = Session(spec, wiring.ports(spec, store, record, cloud))
        try:
            yield session, record
        finally:
            session.close()


@contextmanager
def looking(spec: Spec) -> Iterator[Session]:
    """A deployment to look at: its folder is neither locked nor changed, so that one can look while `up` runs."""
    from provisioner.adapters.store import FolderStore

    store = FolderStore.open(spec.name, create=False, read_only=True)
    session = Session(spec, wiring.ports(spec, store, lambda event: None))
    try:
        yield session
    finally:
        session.close()


def hasty(spec: Spec) -> Spec:
    """An inventory whose hosts are given little time to let us in."""
    ssh = spec.ssh.model_copy(update={"ready_timeout_s": PATIENCE_S, "connect_timeout_s": PATIENCE_S})
    return spec.model_copy(update={"ssh": ssh})


def check_place(name: str, recorded: Place, place: Place) -> None:
    """Raises DriftError when an inventory leads to another place than the one in which the deployment lives."""
    if not place.is_same(recorded):
        raise DriftError(
            f"{name} lives in {recorded}; inventory and environment now lead to {place}",
            f"change them back, or `provisioner down {name}` first",
        )


def check_hosts(state: State, spec: Spec) -> None:
    """Raises DriftError when an inventory would leave behind what was put on the hosts by an earlier one."""
    from provisioner.steps.comparison import left_behind

    if spec.creates_instances and not state.hosts:  # there is no host yet
        return
    differences = left_behind(state.spec()[0], spec)
    if differences:
        raise DriftError(
            f"what is on the hosts of {spec.name} differs from the inventory: {'; '.join(differences)}",
            f"change the inventory back, or `provisioner down {spec.name}` first",
        )


def begin(store: FolderStore, spec: Spec, place: Place) -> None:
    """A new life for the name when the last one has ended; else this is a resumption, at the same place."""
    last = store.state if store.began else None
    if last is None or last.removed_at:
        store.keep(State.begin(spec, place, _now(), last=last))
        return
    check_place(spec.name, last.place, place)
    check_hosts(last, spec)
    with store.changing() as state:
        state.inventory = spec.model_dump(mode="json")
        state.place = place


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def ended(store: FolderStore) -> None:
    """Note that everything is removed. Measurements stay; keys and secrets go. Raises StateError."""
    import shutil

    from provisioner.adapters.ssh import own_key
    from provisioner.adapters.store import readable_errors

    with store.changing() as state:
        state.removed_at = _now()
    if store.unwritten:
        raise store.unwritten
    with readable_errors(store.folder):
        for path in (own_key(store.folder), store.known_hosts):
            path.unlink(missing_ok=True)
        shutil.rmtree(store.folder / "secrets", ignore_errors=True)


def saved_spec(name: str, *, whole: bool = False) -> Spec:
    """The inventory that a deployment was made from, as far as this version can read it, or the whole of it.

    Raises StateError when there is no such deployment, or when it is not whole and has to be.
    """
    from provisioner.adapters.store import FolderStore

    spec, unread = FolderStore.open(name, create=False).state.spec()
    if whole and unread:
        raise StateError(
            f"the inventory of {name} was written by another version of provisioner ({', '.join(unread)})",
            "use that version, or `provisioner up` with an inventory of this one",
        )
    return spec
