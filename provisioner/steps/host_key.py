"""The hosts' SSH keys, read before the first connection through a channel that the account authenticates.

Cloud Assistant's RunCommand prints the public keys on every instance at once; they go into the deployment's own
known_hosts, so no connection ever has to trust what it meets first.
"""

from __future__ import annotations

from provisioner.deployment import Deployment
from provisioner.errors import HostKeyError
from provisioner.hosts.address import HostAddress
from provisioner.step import ABSENT, PRESENT, Description, Finding

# MACHINE_ROOT is set on simulated machines that are folders; on a real one the path begins at /.
SCRIPT = 'cat "${MACHINE_ROOT:-}"/etc/ssh/ssh_host_*_key.pub'


class HostKeyStep:
    """The public host keys of all instances, in known_hosts."""

    name = "host-keys"
    host: str | None = None
    owner: str | None = "instances"

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def describe(self) -> Description:
        """One RunCommand for all."""
        return Description("Read the hosts' SSH keys through Cloud Assistant")

    def _wanted(self) -> dict[str, str]:
        return {address.instance_id: address.address for address in self._addresses()}

    def _addresses(self) -> list[HostAddress]:
        return [self.deployment.address(name) for name in self.deployment.host_names]

    def check(self) -> Finding:
        """Present when each instance's keys were recorded for the address it has now."""
        known = self.deployment.store.state.host_keys
        return PRESENT if all(known.get(i) == address for i, address in self._wanted().items()) else ABSENT

    def apply(self) -> None:
        """RunCommand, then known_hosts."""
        deployment = self.deployment
        addresses = self._addresses()
        deployment.progress(f"waiting for Cloud Assistant on {len(addresses)} instances")
        results = {}
        ids = [address.instance_id for address in addresses]
        for start in range(0, len(ids), 100):
            results.update(deployment.cloud.run_command(ids[start : start + 100], SCRIPT))
        for address in addresses:
            result = results.get(address.instance_id)
            keys = [
                " ".join(line.split()[:2])
                for line in (result.output.splitlines() if result else [])
                if line.startswith(("ssh-", "ecdsa-"))
            ]
            if not keys:
                state = f"{result.state} {result.error_code} {result.output.strip()[:200]}" if result else "no result"
                raise HostKeyError(
                    f"could not read the SSH host keys of {address.name} ({address.instance_id}): {state}",
                    "Cloud Assistant has to run in the image; or say ssh: {host_keys: accept-new}",
                    host=address.name,
                )
            deployment.store.add_host_keys(address.address, address.port, keys)
        with deployment.store.changing() as kept:
            kept.host_keys = self._wanted()

    def undo(self) -> None:
        """Never called: the keys die with the instances."""
