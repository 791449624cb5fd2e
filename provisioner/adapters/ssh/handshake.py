"""One attempt at a host: banner, host key, login. What went wrong is told apart, because the remedies differ.

Imports paramiko, so it is itself imported at the first connection only.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import paramiko
from paramiko.packet import Packetizer

from provisioner.adapters.known_hosts import fingerprint, known_keys, replace_keys
from provisioner.errors import ConnectError, HostKeyError
from provisioner.hosts.address import HostAddress

KEEPALIVE_S = 30
DEAD_AFTER_S = 90  # a peer that has acknowledged nothing for so long is gone

# paramiko logs each failed attempt with its traceback, and Python prints what no handler takes
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class NotReadyError(Exception):
    """This attempt failed in a way that a host which is still starting would make it fail.

    Args:
        reason: what happened, without the host.
        remedy: what to do if it stays so.
        login: the host answered and refused the login.
    """

    def __init__(self, reason: str, remedy: str, *, login: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.login = login


def describe(host: HostAddress) -> str:
    """The host as messages name it."""
    return f"{host.name} ({host.user}@{host.address}:{host.port})"


def open_socket(host: HostAddress, timeout_s: float) -> socket.socket:
    """A TCP connection to the host. Raises NotReadyError, or ConnectError for a name that does not exist."""
    try:
        sock = socket.create_connection((host.address, host.port), timeout_s)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise NotReadyError(f"the name {host.address} could not be looked up", "is the network up?") from error
        raise ConnectError(
            f"{describe(host)}: there is no host of that name", "correct its address in the inventory", host=host.name
        ) from error
    except ConnectionRefusedError as error:
        raise NotReadyError(
            "connection refused",
            f"the machine is there but nothing listens on port {host.port}: is sshd running, and is ssh.port right?",
        ) from error
    except TimeoutError as error:
        raise NotReadyError(
            f"no answer within {timeout_s:g} s (timeout)",
            f"does the security group let TCP port {host.port} in from this machine's address, is the instance "
            "running, and is this its public address?",
        ) from error
    except OSError as error:
        routeless = error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)
        reason = "no route to the host" if routeless else (error.strerror or str(error))
        raise NotReadyError(reason, "check the address, and that this machine's network reaches it") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_S * 1000)
    return sock


def open_transport(
    sock: Any,
    host: HostAddress,
    *,
    keys: Sequence[tuple[str, paramiko.PKey]],
    known_hosts: Path,
    accept_new: bool,
    timeout_s: float,
) -> paramiko.Transport:
    """From a connected socket (or channel) to a login; `timeout_s` holds for each stage by itself.

    Raises NotReadyError, HostKeyError, ConnectError; the socket is closed then.
    """
    host_keys = known_keys(known_hosts, host.address, host.port)
    transport = paramiko.Transport(sock, packetizer_class=_BannerKeeper)
    try:
        transport.banner_timeout = transport.auth_timeout = transport.channel_timeout = timeout_s
        transport.handshake_timeout = timeout_s
        _prefer(transport, host_keys)
        _negotiate(transport, host, timeout_s)
        _check_host_key(transport, host, host_keys, known_hosts, accept_new)
        _log_in(transport, host, keys)
        transport.set_keepalive(KEEPALIVE_S)
    except BaseException:
        transport.close()
        sock.close()
        raise
    return transport


class _BannerKeeper(Packetizer):
    """Keeps the lines that the peer sent before the protocol began, to tell a web server from a slow sshd."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.banner: list[str] = []

    def readline(self, timeout: float) -> str:
        """The next line of the banner."""
        line: str = super().readline(timeout)
        self.banner.append(line)
        return line


def _prefer(transport: paramiko.Transport, host_keys: Sequence[str]) -> None:
    """Ask first for the key types that are known for the host: one with several keys would show an unknown one."""
    kinds = {key.split()[0] for key in host_keys}
    if "ssh-rsa" in kinds:  # the key's type; these are its signatures
        kinds |= {"rsa-sha2-512", "rsa-sha2-256"}
    options = transport.get_security_options()
    options.key_types = sorted(options.key_types, key=lambda kind: kind not in kinds)
    options.ciphers = sorted(
        options.ciphers, key=lambda cipher: "gcm" not in cipher
    )  # twice as fast here as CTR and HMAC


def _negotiate(transport: paramiko.Transport, host: HostAddress, timeout_s: float) -> None:
    try:
        transport.start_client(timeout=2 * timeout_s)
    except (paramiko.SSHException, EOFError, OSError) as error:
        packets = cast(_BannerKeeper, transport.packetizer)
        if packets.handshake_timed_out():
            raise _too_slow(timeout_s) from error
        if transport.remote_version:
            if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
                raise ConnectError(
                    f"{describe(host)} runs {transport.remote_version}, with which no algorithm is shared: {error}",
                    "update its SSH server",
                    host=host.name,
                ) from error
            raise NotReadyError(
                f"the connection ended during the key exchange ({error or type(error).__name__})",
                "look at the SSH server's log on the host",
            ) from error
        if packets.banner:
            raise ConnectError(
                f"{describe(host)} answers {packets.banner[0][:60]!r}, which is no SSH banner",
                f"another service listens on port {host.port}: correct ssh.port",
                host=host.name,
            ) from error
        if isinstance(error.__context__, TimeoutError):
            raise NotReadyError(
                f"connected, but no SSH banner within {timeout_s:g} s",
                f"is it sshd that listens on port {host.port}, and is the host overloaded?",
            ) from error
        raise NotReadyError(
            "connected, but closed before the SSH banner (reset)",
            "sshd may refuse more connections (MaxStartups), or a firewall cuts them: look at its log on the host",
        ) from error
    if not transport.initial_kex_done:  # start_client returns without a word when its time is over
        raise _too_slow(timeout_s)


def _too_slow(timeout_s: float) -> NotReadyError:
    return NotReadyError(
        f"the key exchange did not end within {timeout_s:g} s", "is the host overloaded, or its network slow?"
    )


def _check_host_key(
    transport: paramiko.Transport, host: HostAddress, host_keys: Sequence[str], known_hosts: Path, accept_new: bool
) -> None:
    shown_key = transport.get_remote_server_key()
    shown = f"{shown_key.get_name()} {shown_key.get_base64()}"
    if shown in host_keys:
        return
    if not host_keys:
        if accept_new:
            replace_keys(known_hosts, host.address, host.port, [shown])
            return
        raise HostKeyError(
            f"the host key of {describe(host)} is unknown: known none, shown {fingerprint(shown)}",
            "compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host and put it into the "
            "inventory (host_key), or set ssh.host_keys: accept-new",
            host=host.name,
        )
    same_kind = [key for key in host_keys if key.split()[0] == shown_key.get_name()]
    raise HostKeyError(
        f"the host key of {describe(host)} has CHANGED: known {', '.join(map(fingerprint, same_kind or host_keys))}, "
        f"shown {fingerprint(shown)}; nothing was sent to it",
        "somebody may be in between; if the machine was reinstalled on purpose, `provisioner up` asks for the new "
        "key of an instance that it created; for any other host put the new key into the inventory (host_key), or "
        f"remove its line from {known_hosts}",
        host=host.name,
    )


def _log_in(transport: paramiko.Transport, host: HostAddress, keys: Sequence[tuple[str, paramiko.PKey]]) -> None:
    names = ", ".join(name for name, _ in keys)
    refused = NotReadyError(
        f"authentication refused for user {host.user} with key {names}",
        "is the login user right (ssh.user: the images log in as root, or as ecs-user when set to log in as non-root), "
        "and is this key in that user's authorized_keys (ssh.key_file)? A new instance may not have installed it yet",
        login=True,
    )
    for _, key in keys:
        start = time.monotonic()
        try:
            more = transport.auth_publickey(host.user, key)
        except paramiko.BadAuthenticationType as error:
            raise ConnectError(
                f"{describe(host)} takes no keys, only {', '.join(error.allowed_types)}",
                "let sshd accept keys (PubkeyAuthentication yes)",
                host=host.name,
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if transport.is_active() and isinstance(error, paramiko.AuthenticationException):
                if time.monotonic() - start >= transport.auth_timeout:
                    raise NotReadyError(
                        f"no answer to the login within {transport.auth_timeout:g} s", "is the host overloaded?"
                    ) from error
                refused.__cause__ = error
                continue
            raise NotReadyError(
                "the connection ended during the login",
                "look at the SSH server's log on the host; it may have refused too many keys (MaxAuthTries)",
            ) from error
        if more:
            raise ConnectError(
                f"{describe(host)} asks for {', '.join(more)} on top of the key",
                "use a login with a key alone",
                host=host.name,
            )
        return
    raise refused
