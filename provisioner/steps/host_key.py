"""The hosts' SSH keys, read before the first connection through a channel that the account authenticates.

Cloud Assistant's RunCommand prints the public keys on every instance at once; they go into the deployment's own
known_hosts, so no connection ever has to trust what it meets first.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.deployment import Deployment
from provisioner.errors import HostKeyError
from provisioner.hosts.address import HostAddress
from provisioner.step import ABSENT, PRESENT, Description, Finding

CLOUD_INIT_S = 60
TIMEOUT_S = CLOUD_INIT_S + 30

# cloud-init makes new keys at an instance's first start, after the agent may already answer: until then the image's own
# are there. MACHINE_ROOT is set on simulated machines that are folders; on a real one the path begins at /.
SCRIPT = f"""command -v cloud-init >/dev/null && timeout {CLOUD_INIT_S} cloud-init status --wait >/dev/null 2>&1
cat "${{MACHINE_ROOT:-}}"/etc/ssh/ssh_host_*_key.pub"""


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

    def _addresses(self) -> list[HostAddress]:
        return [self.deployment.address(name) for name in self.deployment.host_names]

    def check(self) -> Finding:
        """Present when each instance's keys were read at the address it has now, and are still in known_hosts."""
        store = self.deployment.store
        known = store.state.host_keys
        return (
            PRESENT
            if all(
                known.get(address.instance_id) == address.address and store.host_keys(address.address, address.port)
                for address in self._addresses()
            )
            else ABSENT
        )

    def apply(self) -> None:
        """RunCommand, then known_hosts."""
        addresses = self._addresses()
        self.deployment.progress(f"waiting for Cloud Assistant on {len(addresses)} instances")
        read_host_keys(self.deployment, addresses)
        with self.deployment.store.changing() as kept:
            kept.host_keys = {address.instance_id: address.address for address in addresses}

    def undo(self) -> None:
        """Never called: the keys die with the instances."""


def read_host_keys(deployment: Deployment, addresses: Sequence[HostAddress]) -> None:
    """Put the keys that instances of ours have now into known_hosts, in place of older ones.

    Raises HostKeyError for an instance whose keys cannot be read; those of the instances before it are kept.
    """
    results = {}
    ids = [address.instance_id for address in addresses]
    for start in range(0, len(ids), 100):
        results.update(deployment.cloud.run_command(ids[start : start + 100], SCRIPT, timeout_s=TIMEOUT_S))
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
