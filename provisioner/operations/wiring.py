"""Builds the adapters and hands them to a Session: the only place that knows which adapter stands behind a port."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.deployment import Ports
from provisioner.deployment.state import Place
from provisioner.errors import UsageError
from provisioner.hosts.address import HostAddress
from provisioner.inventory.spec import Spec
from provisioner.operations import places
from provisioner.runner import Event

if TYPE_CHECKING:
    from provisioner.adapters.ecs import EcsCloud
    from provisioner.adapters.store import FolderStore
    from provisioner.ports import Connection, Connector, Engine

Emit = Callable[[Event], None]


def ports(spec: Spec, store: FolderStore, emit: Emit, connected: EcsCloud | None = None) -> Ports:
    """All adapters for a deployment; `connected` is its cloud, when somebody is connected already.

    Else the cloud is connected to, and its account verified, when it is first asked for.
    """
    from provisioner.adapters.clock import SystemClock
    from provisioner.adapters.host_logs import FolderHostLogs

    progress = progress_to(emit)
    clock = SystemClock()
    return Ports(
        store=store,
        clock=clock,
        connector=_connector(spec, store, progress),
        cloud=(lambda: connected or places.open_recorded(spec.name, store.state.place, progress))
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


def progress_to(emit: Emit) -> Callable[[str], None]:
    """What takes a line for the person, and makes an event of it."""
    return lambda text: emit(Event("progress", text))


def _secrets(spec: Spec, store: FolderStore) -> list[str]:
    """What no log may show: the deployment's generated secrets and its registry's password."""
    from provisioner.adapters.store import readable_errors

    secrets = []
    for path in (store.folder / "secrets").glob("[!.]*"):
        with readable_errors(path):
            secrets.append(path.read_text())
    login = spec.image.registry_login if spec.image else None
    password = os.environ.get(login.password_env) if login else None
    return [*secrets, password] if password else secrets


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
    public_key = store.state.public_key
    if not public_key or not path.exists():
        public_key = generate_key(path, f"provisioner-{store.folder.name}")
        with store.changing() as state:
            state.public_key = public_key
    return public_key


def key_file(spec: Spec, store: FolderStore) -> Path | None:
    """The private key to log in with: the inventory's, else the deployment's own; None for the agent's."""
    from provisioner.adapters.ssh import own_key

    if spec.ssh.key_file:
        return Path(spec.ssh.key_file).expanduser()
    return own_key(store.folder) if spec.creates_instances and not spec.cloud.key_pair else None


def local_home(folder: Path) -> Path:
    """Where Spark and the training keep their files on this machine: with the deployment, not in the user's home."""
    return folder / "host"


def _connector(spec: Spec, store: FolderStore, progress: Callable[[str], None]) -> Connector:
    if spec.provider == "local":
        from provisioner.adapters.local import LocalConnector

        return LocalConnector(home=local_home(store.folder))
    from provisioner.adapters.clock import SystemClock
    from provisioner.adapters.ssh import SshConnector

    jump = spec.ssh.jump
    host_keys = [(host.address, host.port or spec.ssh.port, host.host_key) for host in spec.hosts]
    if jump:
        host_keys.append((jump.address, jump.port, jump.host_key))
    for address, port, key in host_keys:
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
