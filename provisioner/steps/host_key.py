"""The hosts' SSH keys, read before the first connection through a channel that the account authenticates.

Cloud Assistant's RunCommand prints the public keys on every instance at once; they go into the deployment's own
known_hosts, so no connection ever has to trust what it meets first.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.deployment.cloud_access import CloudAccess
from provisioner.deployment.host import Host
from provisioner.deployment.known_hosts import KnownHosts
from provisioner.errors import HostKeyError
from provisioner.resources import CommandResult
from provisioner.step import ABSENT, PRESENT, Description, Finding, Step

CLOUD_INIT_S = 60
TIMEOUT_S = CLOUD_INIT_S + 30
MOST_AT_ONCE = 100
"""Instances that one RunCommand takes."""

# cloud-init makes new keys at an instance's first start, after the agent may already answer: until then the image's own
# are there. MACHINE_ROOT is set on simulated machines that are folders; on a real one the path begins at /.
SCRIPT = f"""command -v cloud-init >/dev/null && timeout {CLOUD_INIT_S} cloud-init status --wait >/dev/null 2>&1
cat "${{MACHINE_ROOT:-}}"/etc/ssh/ssh_host_*_key.pub"""


class HostKeyStep(Step):
    """The public host keys of all instances, in known_hosts."""

    name = "host-keys"

    def __init__(self, access: CloudAccess, hosts: Sequence[Host], known_hosts: KnownHosts) -> None:
        self._access = access
        self._hosts = hosts
        self._known_hosts = known_hosts

    def describe(self) -> Description:
        """One RunCommand for all."""
        return Description("Read the hosts' SSH keys through Cloud Assistant")

    def check(self) -> Finding:
        """Present when each instance's keys were read at the address it has now, and are still in known_hosts."""
        return PRESENT if all(self._known_hosts.has(host.address) for host in self._hosts) else ABSENT

    def apply(self) -> None:
        """RunCommand, then known_hosts."""
        self._access.progress(f"waiting for Cloud Assistant on {len(self._hosts)} instances")
        self.read(self._hosts)
        self._known_hosts.complete([host.address for host in self._hosts])

    def read(self, hosts: Sequence[Host]) -> None:
        """Put the keys that hosts of ours have now into known_hosts, in place of older ones.

        Raises HostKeyError for an instance whose keys cannot be read; those of the instances before it are kept.
        """
        results: dict[str, CommandResult] = {}
        addresses = [host.address for host in hosts]
        for start in range(0, len(addresses), MOST_AT_ONCE):
            ids = [address.instance_id for address in addresses[start : start + MOST_AT_ONCE]]
            results.update(self._access.cloud.run_command(ids, SCRIPT, timeout_s=TIMEOUT_S))
        for address in addresses:
            result = results.get(address.instance_id)
            keys = parse_keys(result.output) if result else []
            if not keys:
                state = f"{result.state} {result.error_code} {result.output.strip()[:200]}" if result else "no result"
                raise HostKeyError(
                    f"could not read the SSH host keys of {address.name} ({address.instance_id}): {state}",
                    "Cloud Assistant has to run in the image; or say ssh: {host_keys: accept-new}",
                    host=address.name,
                )
            self._known_hosts.add(address, keys)


def parse_keys(output: str) -> list[str]:
    """The public keys that the script printed, each as `TYPE BASE64`, without the comment."""
    return [" ".join(line.split()[:2]) for line in output.splitlines() if line.startswith(("ssh-", "ecdsa-"))]
