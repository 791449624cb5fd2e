"""Attempts at a host until it is ready, through a jump host where there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner.adapters.ssh.connection import SshConnection
from provisioner.adapters.ssh.keys import login_keys
from provisioner.errors import ConnectError
from provisioner.hosts.address import HostAddress
from provisioner.ports import Clock

if TYPE_CHECKING:
    from paramiko import PKey, Transport

    from provisioner.adapters.ssh.handshake import NotReadyError

LOGIN_GRACE_S = 30
"""How long a refused login may mean that the key has not been installed yet: sshd starts before cloud-init is done."""

_PAUSES_S = (0.5, 1.0, 1.0, 2.0)  # then the last one again and again


class SshConnector:
    """Implements ports.Connector.

    Args:
        key: the private key's file; None takes the SSH agent's keys, then the usual ones in ~/.ssh.
        known_hosts: the deployment's own file; ~/.ssh/known_hosts is never looked at.
        accept_new: write down the key of a host that has none there yet, in place of refusing it.
        connect_timeout_s: the deadline of each stage of one attempt (TCP, banner, key exchange, login), and later of
            each answer to a request for a channel or a file.
        clock: for the pauses between attempts.
        progress: told what is being waited for, each time it changes.
        jump: a host to go through, with the same key and known_hosts.
    """

    def __init__(
        self,
        *,
        key: Path | None,
        known_hosts: Path,
        accept_new: bool,
        connect_timeout_s: float,
        clock: Clock,
        progress: Callable[[str], None],
        jump: HostAddress | None = None,
    ) -> None:
        self._key = key
        self._known_hosts = known_hosts
        self._accept_new = accept_new
        self._connect_timeout_s = connect_timeout_s
        self._clock = clock
        self._progress = progress
        self._jump = jump
        self._jump_connection: SshConnection | None = None
        self._jump_failure: tuple[float, ConnectError] | None = None
        self._jump_lock = threading.Lock()

    def connect(self, host: HostAddress, *, ready_timeout_s: float) -> SshConnection:
        """Connect, retrying while the host is still starting, until `ready_timeout_s`.

        Raises HostKeyError at once when the key is not the known one; ConnectError when the time is over, when the
        login has been refused for 30 s, or when something is wrong that waiting does not mend.
        """
        open_socket = self._direct if self._jump is None else self._through_jump
        return self._connection(host, ready_timeout_s, open_socket)

    def close(self) -> None:
        """End the connection to the jump host, if there is one; a later `connect` makes it anew."""
        with self._jump_lock:
            if self._jump_connection is not None:
                self._jump_connection.close()
                self._jump_connection = None

    def _connection(
        self, host: HostAddress, ready_timeout_s: float, open_socket: Callable[[HostAddress], Any]
    ) -> SshConnection:
        transport = self._ready(host, ready_timeout_s, open_socket)
        reopen_s = min(ready_timeout_s, self._connect_timeout_s)
        return SshConnection(
            host, transport, reopen=lambda: self._ready(host, reopen_s, open_socket), answer_s=self._connect_timeout_s
        )

    def _ready(self, host: HostAddress, ready_timeout_s: float, open_socket: Callable[[HostAddress], Any]) -> Transport:
        """Attempts until one succeeds. Raises HostKeyError, ConnectError."""
        from provisioner.adapters.ssh.handshake import NotReadyError, describe

        keys = login_keys(self._key)
        start = self._clock.monotonic()
        refused_since: float | None = None
        last_reason = ""
        pauses = chain(_PAUSES_S, repeat(_PAUSES_S[-1]))
        for attempt, pause in enumerate(pauses, 1):
            result = self._attempt(host, keys, open_socket)
            if not isinstance(result, NotReadyError):
                return result
            now = self._clock.monotonic()
            refused_since = (now if refused_since is None else refused_since) if result.login else None
            refused_for_good = refused_since is not None and now + pause - refused_since > LOGIN_GRACE_S
            if refused_for_good or now + pause - start > ready_timeout_s:
                tried = f" (tried {attempt} times in {now - start:.0f} s)" if attempt > 1 else ""
                message = f"could not connect to {describe(host)}: {result.reason}{tried}"
                raise ConnectError(message, result.remedy, host=host.name) from result
            if result.reason != last_reason:
                last_reason = result.reason
                self._progress(f"{host.name}: waiting for SSH at {host.address}:{host.port}: {last_reason}")
            self._clock.sleep(pause)
        raise AssertionError

    def _attempt(
        self, host: HostAddress, keys: Sequence[tuple[str, PKey]], open_socket: Callable[[HostAddress], Any]
    ) -> Transport | NotReadyError:
        from provisioner.adapters.ssh.handshake import NotReadyError, open_transport

        try:
            return open_transport(
                open_socket(host),
                host,
                keys=keys,
                known_hosts=self._known_hosts,
                accept_new=self._accept_new,
                timeout_s=self._connect_timeout_s,
            )
        except NotReadyError as error:
            return error

    def _direct(self, host: HostAddress) -> Any:
        from provisioner.adapters.ssh.handshake import open_socket

        return open_socket(host, self._connect_timeout_s)

    def _connected_jump(self, jump: HostAddress, asked_at: float) -> SshConnection:
        """Connect to the jump host. Who waited while that failed has waited for it too, and is told the same."""
        if self._jump_failure is not None and self._jump_failure[0] >= asked_at:
            raise self._jump_failure[1]
        try:
            self._jump_connection = self._connection(jump, self._connect_timeout_s, self._direct)
        except ConnectError as error:
            self._jump_failure = self._clock.monotonic(), error
            raise
        return self._jump_connection

    def _through_jump(self, host: HostAddress) -> Any:
        from provisioner.adapters.ssh.handshake import NotReadyError

        assert self._jump is not None  # noqa: S101
        asked_at = self._clock.monotonic()
        with self._jump_lock:
            jump = self._jump_connection or self._connected_jump(self._jump, asked_at)
        try:
            return jump.channel_to(host.address, host.port)
        except ConnectError as error:
            raise NotReadyError(
                f"the jump host {self._jump.name} does not get through to it ({error.message})",
                f"does {self._jump.name} reach {host.address}:{host.port}, and does its sshd allow TCP forwarding?",
            ) from error
