"""Ways to an engine's socket: this machine's own, and that of a host behind a connection."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable
from typing import Any

from provisioner.errors import HostError
from provisioner.ports import Connection

Dial = Callable[[], Any]
"""Gives a new socket, or what serves http.client as one, whose far end is the Docker engine."""

REQUEST_TIMEOUT_S = 60

# The engine's socket belongs to root and its group; a login that is neither has sudo.
_AS_ROOT = "s=; [ -w /var/run/docker.sock ] || s='sudo -n'"

# An engine of the 1.x series (the paper's `docker-io`) has no dial-stdio. What the login's own start-up files print
# comes before the marker.
DIAL_MARKER = b"provisioner: docker follows\n"
DIAL_COMMAND = f"""echo '{DIAL_MARKER.decode().strip()}'
{_AS_ROOT}
case "$(docker --version 2>/dev/null)" in *' version 1.'*) exec $s nc -U /var/run/docker.sock ;; esac
exec $s docker system dial-stdio"""


def dial_remote(connection: Connection) -> Any:
    """A socket to the engine of the host that the connection leads to."""
    sock = connection.dial_command(DIAL_COMMAND)
    try:
        sock.settimeout(REQUEST_TIMEOUT_S)
        banner = b""
        while not banner.endswith(DIAL_MARKER):
            byte = sock.recv(1)
            if not byte:
                raise ConnectionResetError("the command that leads to the Docker engine ended at once")
            banner += byte
    except BaseException:
        sock.close()
        raise
    return sock


def terminal_command(container: str, *, local: bool) -> str:
    """What a person's shell in a container is started with on its host; `local` is this machine, as in `dial_local`."""
    command = f"docker exec -it {shlex.quote(container)} bash"
    return command if local else f"{_AS_ROOT}; exec $s {command}"


def local_socket() -> str:
    """Where this machine's engine listens: what DOCKER_HOST says, else where it is by default."""
    return os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock"


def dial_local() -> socket.socket:
    """A socket to this machine's engine, at `local_socket`."""
    path = local_socket()
    if "://" in path:
        raise HostError(
            f"DOCKER_HOST={path} is no unix socket",
            "an engine on this machine is reached through its socket (DOCKER_HOST=unix:///PATH, or unset); one on "
            "another machine is reached over SSH, as a host of an inventory",
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except PermissionError as error:
        sock.close()
        raise HostError(
            f"this login may not use the Docker engine at {path}", "add it to the group docker, then log in anew"
        ) from error
    except OSError:
        sock.close()
        raise
    return sock
