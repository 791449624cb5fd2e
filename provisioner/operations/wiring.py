"""Builds the adapters and hands them to a Session: the only place that knows which adapter stands behind a port."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.deployment import Deployment, Ports, Session
from provisioner.deployment.state import Place, State
from provisioner.errors import DriftError, StateError, UsageError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.expected import unlisted_types
from provisioner.inventory.spec import Spec
from provisioner.operations import places
from provisioner.runner import Event

if TYPE_CHECKING:
    from provisioner.adapters.ecs import EcsCloud
    from provisioner.adapters.store import FolderStore
    from provisioner.ports import Connection, Connector, Engine

Emit = Callable[[Event], None]

PATIENCE_S = 10.0
"""For one host to let us in: who only looks does not wait for a host that is booting."""


def for_plan(spec: Spec, *, online: bool = False) -> Session:
    """A deployment that can only be described. For provider: local this machine is asked for its CPUs.

    `online`: the service is asked about instance types that the catalog lacks.
    """
    if spec.provider != "local":
        described_types = None
        if online and spec.creates_instances and unlisted_types(spec.cloud):
            from provisioner.steps.instance_types import ask

            _, cloud = places.of_inventory(spec, lambda text: None)
            described_types = ask(cloud, spec.cloud)
        return Session(spec, described_types=described_types)
    from provisioner.adapters.local import LocalConnection
    from provisioner.adapters.store import state_root
    from provisioner.hosts.facts import FACTS_SCRIPT, parse_facts

    facts = parse_facts(LocalConnection("localhost", home=Path.home()).run(FACTS_SCRIPT).output, "localhost")
    return Session(spec, local_facts=replace(facts, home=str(_local_home(state_root() / spec.name))))


@contextmanager
def opened(spec: Spec, emit: Emit, *, create: bool) -> Iterator[tuple[Session, Emit]]:
    """A deployment with its folder locked and its adapters built, and what to tell events to, which also keeps them.

    Connections are closed at the end. With `create` the deployment begins where the inventory leads to, without one it
    must have begun. Raises DriftError when it lives elsewhere; no folder is made before the cloud has let us in.
    """
    from provisioner.adapters.store import FolderStore

    place, there = Place(provider=spec.provider), None
    if create and spec.creates_instances:
        place, there = places.of_inventory(spec, _progress(emit))
    store = FolderStore.open(spec.name, create=create)
    with store.lock():
        if create:
            begin(store, spec, place)

        record = _recorder(store, emit)
        session = Session(spec, ports(spec, store, record, there))
        try:
            yield session, record
        finally:
            session.close()


def _recorder(store: FolderStore, emit: Emit) -> Emit:
    """Keeps events in the folder and passes them on; where they cannot be kept they are passed on all the same."""
    kept = True

    def record(event: Event) -> None:
        nonlocal kept
        if kept and event.kind != "progress":
            at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            try:
                store.append("events.jsonl", _json({"at": at, **event.as_json()}))
            except StateError as error:
                kept = False
                emit(Event("error", str(error)))
        emit(event)

    return record


@contextmanager
def looking(spec: Spec) -> Iterator[Session]:
    """A deployment to look at: its folder is neither locked nor changed, so that one can look while `up` runs."""
    from provisioner.adapters.store import FolderStore

    store = FolderStore.open(spec.name, create=False, read_only=True)
    session = Session(spec, ports(spec, store, lambda event: None))
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


def has_images(spec: Spec) -> bool:
    """Whether every host of a deployment that exists has been given its image: then no login is needed any more."""
    from provisioner.adapters.store import FolderStore, list_deployments
    from provisioner.steps.image import tag_of

    if spec.image is None or spec.name not in list_deployments():
        return False
    store, tag = FolderStore.open(spec.name, create=False), tag_of(spec.image)
    given = [store.state.images.get(host) for host in Deployment(spec).host_names]
    return not store.state.removed_at and all(each and each.tag == tag for each in given)


def ports(spec: Spec, store: FolderStore, emit: Emit, there: EcsCloud | None = None) -> Ports:
    """All adapters for a deployment; `there` is its cloud, when somebody is connected already.

    Else the cloud is connected to, and its account verified, when it is first asked for.
    """
    from provisioner.adapters.clock import SystemClock
    from provisioner.adapters.host_logs import FolderHostLogs

    progress = _progress(emit)
    clock = SystemClock()
    return Ports(
        store=store,
        clock=clock,
        connector=_connector(spec, store, progress),
        cloud=(lambda: there or places.open_recorded(spec.name, store.state.place, progress))
        if spec.creates_instances
        else None,
        engine=_engine,
        progress=progress,
        untold=lambda text: emit(Event("error", text)),
        caller_cidrs=cache(lambda: caller_cidrs(spec, store.state.place)),
        public_key=lambda: _public_key(store),
        program=program,
        host_logs=FolderHostLogs(store.folder, lambda: _secrets(spec, store)),
    )


def _progress(emit: Emit) -> Callable[[str], None]:
    return lambda text: emit(Event("progress", text))


def _secrets(spec: Spec, store: FolderStore) -> list[str]:
    """What no log may show: the deployment's generated secrets and its registry's password."""
    from provisioner.adapters.store import readable_errors

    found = []
    for path in (store.folder / "secrets").glob("[!.]*"):
        with readable_errors(path):
            found.append(path.read_text())
    login = spec.image.registry_login if spec.image else None
    password = os.environ.get(login.password_env) if login else None
    return [*found, password] if password else found


def program() -> str:
    """This program's version; from a checkout what `git describe` says as well."""
    import subprocess

    from provisioner import __version__

    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return __version__
    words = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--tags"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, or somebody else's checkout
        return __version__
    return f"{__version__} ({done.stdout.strip()})"


def caller_cidrs(spec: Spec, place: Place) -> tuple[str, ...]:
    """Where SSH is let in from: the inventory's, else this machine's address as the internet sees it.

    An HTTP proxy would be asked for its own address, and SSH does not go through it: it is left out.
    Raises UsageError when the address cannot be found out; it never opens to the world instead.
    """
    if spec.cloud.ssh_from != "auto":
        return spec.cloud.ssh_from
    if place.is_on_this_machine:
        return ("127.0.0.1/32",)
    import urllib.error
    import urllib.request
    from ipaddress import ip_address, ip_network

    service = spec.cloud.address_service
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(service, timeout=10) as answer:
            address = ip_address(answer.read(200).decode().strip())
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise UsageError(
            f"could not find out this machine's address from {service}, asked without a proxy: {error}",
            "say cloud: {ssh_from: [ADDRESS/32]} in the inventory",
        ) from None
    return (str(ip_network(address)),)


def _public_key(store: FolderStore) -> str:
    """The public half of the deployment's own key, which is generated at the first question."""
    from provisioner.adapters.ssh import generate_key, own_key

    path = own_key(store.folder)
    known = store.state.public_key
    if not known or not path.exists():
        known = generate_key(path, f"provisioner-{store.folder.name}")
        with store.changing() as state:
            state.public_key = known
    return known


def key_file(spec: Spec, store: FolderStore) -> Path | None:
    """The private key to log in with: the inventory's, else the deployment's own; None for the agent's."""
    from provisioner.adapters.ssh import own_key

    if spec.ssh.key_file:
        return Path(spec.ssh.key_file).expanduser()
    return own_key(store.folder) if spec.creates_instances and not spec.cloud.key_pair else None


def _local_home(folder: Path) -> Path:
    """Where Spark and the training keep their files on this machine: with the deployment, not in the user's home."""
    return folder / "host"


def _connector(spec: Spec, store: FolderStore, progress: Callable[[str], None]) -> Connector:
    if spec.provider == "local":
        from provisioner.adapters.local import LocalConnector

        return LocalConnector(home=_local_home(store.folder))
    from provisioner.adapters.clock import SystemClock
    from provisioner.adapters.ssh import SshConnector

    jump = spec.ssh.jump
    given = [(host.address, host.port or spec.ssh.port, host.host_key) for host in spec.hosts]
    if jump:
        given.append((jump.address, jump.port, jump.host_key))
    for address, port, key in given:
        if key:
            store.add_host_keys(address, port, [" ".join(key.split()[:2])])
    return SshConnector(
        key=key_file(spec, store),
        known_hosts=store.known_hosts,
        accept_new=spec.ssh.host_keys == "accept-new",
        connect_timeout_s=spec.ssh.connect_timeout_s,
        clock=SystemClock(),
        progress=progress,
        jump=HostAddress("jump", jump.address, jump.address, jump.port, jump.user) if jump else None,
    )


def _engine(connection: Connection) -> Engine:
    from provisioner.adapters.docker import engine_for

    return engine_for(connection)


def _json(value: object) -> str:
    import json

    return json.dumps(value)
