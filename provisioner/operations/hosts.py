"""The hosts of a deployment that exists, as people name them."""

from __future__ import annotations

from contextlib import AbstractContextManager

from provisioner.deployment import Host, Session
from provisioner.errors import UsageError
from provisioner.operations import opening


def looking_at(name: str) -> AbstractContextManager[Session]:
    """The deployment of that name, to look at."""
    return opening.looking(opening.saved_spec(name))


def chosen(session: Session, host: str | None) -> Host:
    """The host of that name, else the first. Raises UsageError when there is none."""
    names = session.deployment.host_names
    if host is not None and host not in names:
        raise UsageError(f"{session.spec.name} has no host {host}", f"its hosts are {', '.join(names)}")
    return session.host(host or names[0])


def check_container(session: Session) -> None:
    """Raises UsageError when the deployment has no container."""
    if session.spec.runtime != "docker":
        raise UsageError(f"{session.spec.name} has no container (runtime: host)", "leave out --container")


def terminal_command(session: Session) -> str:
    """What opens a shell in the container, on its host."""
    from provisioner.adapters.docker import dial

    return dial.terminal_command(session.deployment.container, local=session.spec.provider == "local")
