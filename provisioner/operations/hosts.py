"""The hosts of a deployment that exists, as people name them."""

from __future__ import annotations

from contextlib import AbstractContextManager

from provisioner.deployment import Deployment
from provisioner.errors import UsageError
from provisioner.operations import wiring


def looking_at(name: str) -> AbstractContextManager[Deployment]:
    """The deployment of that name, to look at."""
    return wiring.looking(wiring.saved_spec(name))


def chosen(deployment: Deployment, host: str | None) -> str:
    """The host of that name, else the first. Raises UsageError when there is none."""
    names = deployment.host_names
    if host is None:
        return names[0]
    if host not in names:
        raise UsageError(f"{deployment.spec.name} has no host {host}", f"its hosts are {', '.join(names)}")
    return host


def check_container(deployment: Deployment) -> None:
    """Raises UsageError when the deployment has no container."""
    if deployment.spec.runtime != "docker":
        raise UsageError(f"{deployment.spec.name} has no container (runtime: host)", "leave out --container")


def terminal_command(deployment: Deployment) -> str:
    """What opens a shell in the container, on its host."""
    from provisioner.adapters.docker import dial

    return dial.terminal_command(deployment.container, local=deployment.spec.provider == "local")
