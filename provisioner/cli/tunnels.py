"""`tunnel`: Spark's pages on local ports, through the host's verified connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import Any

from provisioner.errors import ProvisionerError
from provisioner.ports import Connection

PAGES = (("Spark master", 8080), ("Spark worker", 8081), ("running application", 4040), ("history", 18080))


def serve(connection: Connection, pages: Sequence[tuple[str, str, int]], *, browse: bool) -> None:
    """Listen on a loopback port for each (title, address, port) seen from the host, until Ctrl-C."""
    listeners = []
    for title, address, port in pages:
        listener = _listen(port)
        listeners.append(listener)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        print(f"{title:20} {url}", flush=True)
        threading.Thread(target=_accept, args=(listener, connection, address, port), daemon=True).start()
        if browse and title == pages[0][0]:
            import webbrowser

            webbrowser.open(url)
    print("Ctrl-C ends it", flush=True)
    try:
        threading.Event().wait()
    finally:
        for listener in listeners:
            listener.close()


def _listen(preferred: int) -> socket.socket:
    """On the same port as over there, or on any that is free."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    raise ProvisionerError("no local port is free")


def _accept(listener: socket.socket, connection: Connection, address: str, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # closed: the tunnel ends
        threading.Thread(target=_carry, args=(client, connection, address, port), daemon=True).start()


def _carry(client: socket.socket, connection: Connection, address: str, port: int) -> None:
    """One browser connection; where nothing listens over there it is closed at once."""
    try:
        remote = connection.dial(address, port)
    except (OSError, ProvisionerError):
        client.close()
        return
    back = threading.Thread(target=_pump, args=(remote, client), daemon=True)
    back.start()
    _pump(client, remote)
    back.join()
    client.close()
    remote.close()


def _pump(source: Any, target: Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
