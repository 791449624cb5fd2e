"""TCP connections between the processes of one run: both ends prove that they know the run's secret.

Used by the gradient ring (raw bytes) and by the heartbeats to the driver (JSON lines). The secret itself never travels:
each side answers the other's random challenge with an HMAC.
"""

import hashlib
import hmac
import os
import socket

from workload.errors import WorkloadError

_NONCE_BYTES = 32
_USER_TIMEOUT_MS = 20000


def listen(host, backlog=128):
    """A listening socket on ``host`` and a free port that the kernel chose."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind((host, 0))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise WorkloadError("cannot listen on %s: %s; is that an address of this machine?" % (host, error)) from error
    return listener


def connect(address, secret, timeout_s=30.0):
    """Connect to ``(host, port)`` and prove the secret.

    Raises:
        WorkloadError: nobody answers there, or the other side does not know the secret.
    """
    try:
        link = socket.create_connection(address, timeout_s)
        _prepare(link)
        _prove(link, secret, b"client", b"server")
        link.settimeout(None)
        return link
    except OSError as error:
        raise WorkloadError("no connection to %s:%s: %s" % (address[0], address[1], error)) from error


def accept(listener, secret, timeout_s=30.0):
    """The next connection that proves the secret; strangers are turned away.

    Raises:
        WorkloadError: none within ``timeout_s``.
    """
    listener.settimeout(timeout_s)
    while True:
        try:
            link, _ = listener.accept()
        except socket.timeout:
            raise WorkloadError(
                "nobody connected to %s:%s within %.0f s" % (listener.getsockname() + (timeout_s,))
            ) from None
        try:
            link.settimeout(timeout_s)
            _prepare(link)
            _prove(link, secret, b"server", b"client")
            link.settimeout(None)
            return link
        except (OSError, WorkloadError):
            link.close()


def receive_exactly(link, buffer):
    """Fill the writable buffer from the socket; ``ConnectionError`` when the other side ends first."""
    view = memoryview(buffer)
    while view:
        count = link.recv_into(view)
        if not count:
            raise ConnectionError("the connection was closed")
        view = view[count:]


def _prepare(link):
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A machine that vanishes sends no FIN: without these the kernel would wait for many minutes.
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def _prove(link, secret, own_role, other_role):
    """Mutual challenge and response; the role is part of the answer, so an answer cannot be played back."""
    challenge = os.urandom(_NONCE_BYTES)
    link.sendall(challenge)
    theirs = bytearray(_NONCE_BYTES)
    receive_exactly(link, theirs)
    link.sendall(_answer(secret, own_role, theirs))
    response = bytearray(_NONCE_BYTES)
    receive_exactly(link, response)
    if not hmac.compare_digest(bytes(response), _answer(secret, other_role, challenge)):
        raise WorkloadError("the other side of a connection does not know this run's secret")


def _answer(secret, role, challenge):
    return hmac.new(secret, role + bytes(challenge), hashlib.sha256).digest()
