"""Who may call: the credentials are public and the commands real, so the simulator serves its own user alone."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from provisioner.simulator.wire import Request

SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
UID_AT = 16 + 4 + 48 + 12  # netlink header, first fields, address pair, queues: linux/inet_diag.h
BROWSER_HEADERS = ("origin", "sec-fetch-site")


def own_user(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Whether a loopback connection comes from this user, from root, or from who called sudo.

    One whose owner nobody tells is not let in.
    """
    owner = _owner(client, server)
    if owner is None:
        owner = _listed_owner(client, server)
    return owner in (0, os.getuid(), int(os.environ.get("SUDO_UID", os.getuid())))


def for_us(request: Request, server: tuple[str, int]) -> bool:
    """Whether the request names this server as its host.

    A page whose own name was made to lead here (DNS rebinding) counts as of one origin with us, and a browser then
    sends none of the headers that tell of a page; but it names the page's host.
    """
    return request.headers.get("host") in {f"{name}:{server[1]}" for name in (server[0], "localhost")}


def from_a_page(request: Request) -> bool:
    """Whether a browser sent this on behalf of a web page: no page has business here."""
    return any(name in request.headers for name in BROWSER_HEADERS)


def _owner(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """The user id of a TCP connection's other end on this machine, asked of the kernel (sock_diag(7))."""
    pair = struct.pack("!HH", client[1], server[1])
    for address in (client[0], server[0]):
        pair += socket.inet_aton(address).ljust(16, b"\0")
    pair += struct.pack("=I8s", 0, b"\xff" * 8)  # any interface, no cookie
    request = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + pair
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as kernel:
            kernel.send(header + request)
            answer = kernel.recv(4096)
    except OSError:
        return None
    kind = struct.unpack_from("=H", answer, 4)[0]
    if kind != SOCK_DIAG_BY_FAMILY or len(answer) < UID_AT + 4:
        return None
    return int(struct.unpack_from("=I", answer, UID_AT)[0])


def _listed_owner(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """The same from the kernel's table of connections, where sock_diag is closed to us (some containers)."""
    ends = [_as_listed(client), _as_listed(server)]
    try:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return None
    owners = [fields[7] for line in lines if (fields := line.split())[1:3] == ends]
    return int(owners[0]) if owners else None


def _as_listed(address: tuple[str, int]) -> str:
    number = struct.unpack("=I", socket.inet_aton(address[0]))[0]
    return f"{number:08X}:{address[1]:04X}"
