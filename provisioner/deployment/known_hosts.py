"""The SSH keys of the hosts, as they were read through a channel that the account authenticates."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.deployment.store import Store
from provisioner.hosts.address import HostAddress


class KnownHosts:
    """The deployment's own known_hosts, and for which instance each entry was made."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def has(self, host: HostAddress) -> bool:
        """Whether the instance's keys were read at the address it has now, and are still there."""
        read_at = self._store.state.host_keys.get(host.instance_id)
        return read_at == host.address and bool(self._store.host_keys(host.address, host.port))

    def add(self, host: HostAddress, keys: Sequence[str]) -> None:
        """Keep a host's public keys (`TYPE BASE64`), in place of older ones."""
        self._store.add_host_keys(host.address, host.port, keys)

    def complete(self, hosts: Sequence[HostAddress]) -> None:
        """Note that these are all, each with its keys."""
        with self._store.changing() as state:
            state.host_keys = {host.instance_id: host.address for host in hosts}
