"""The Docker engine of a host: the only import of the docker SDK. Imported when an engine is needed, not before."""

from __future__ import annotations

from provisioner.adapters.docker.dial import dial_local, dial_remote
from provisioner.adapters.docker.engine import DockerEngine
from provisioner.adapters.local import LocalConnection
from provisioner.ports import Connection

__all__ = ["DockerEngine", "engine_for"]


def engine_for(connection: Connection) -> DockerEngine:
    """The engine of the host that the connection leads to."""
    if isinstance(connection, LocalConnection):
        return DockerEngine(connection, dial_local)
    return DockerEngine(connection, lambda: dial_remote(connection))
