"""Where a host is."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.errors import HostError
from provisioner.hosts.facts import HostFacts


@dataclass(frozen=True)
class HostAddress:
    """Where a host is, and how to log into it. `private` is the address the cluster uses among itself."""

    name: str
    address: str
    private: str
    port: int = 22
    user: str = "root"
    instance_id: str = ""
    instance_type: str = ""


def private_address(login: str, facts: HostFacts) -> str:
    """What the cluster calls a host that is logged into at `login`: an address that the host itself has.

    A login may lead through a public (elastic) address, a port that is forwarded, or a name, none of which the host
    can bind. Where it does not tell its addresses, `login` has to do.
    """
    if login == "localhost" or login == "::1" or login.startswith("127.") or login in facts.addresses:
        return login
    return facts.route_address or login


def check_cluster_address(name: str, address: str, facts: HostFacts) -> None:
    """Raises HostError for an address that Spark's processes on that host could not bind, or find each other by."""
    has = ", ".join(each for each in facts.addresses if not each.startswith("127."))
    if ":" in address:
        raise HostError(
            f"{name} is logged into at {address} and shows no IPv4 address, by which Spark's processes find each other",
            "give it one, or say which it has: hosts[].private_address",
            host=name,
        )
    if facts.addresses and address not in facts.addresses and not address.startswith("127.") and _is_number(address):
        raise HostError(
            f"{name} does not have the address {address}, which Spark would have to bind there; it has {has or 'none'}",
            "correct hosts[].private_address, or take it out",
            host=name,
        )


def check_cluster_name(name: str, facts: HostFacts) -> None:
    """Raises HostError for a host name that cannot be part of Spark's addresses, where its processes go by name."""
    if "_" in facts.hostname:
        raise HostError(
            f"{name} calls itself {facts.hostname}, and Spark's addresses take no underscore in a host name",
            "let Spark go by address (spark.master: address), or rename the host",
            host=name,
        )


def _is_number(address: str) -> bool:
    return address.replace(".", "").isdigit()
