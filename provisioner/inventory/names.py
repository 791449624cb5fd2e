"""What the service takes as names, tags and networks of what is created, checked before anything is.

The rules are those of RunInstances (InstanceName, HostName, Tag), CreateSecurityGroup, ImportKeyPair, CreateVpc and
CreateVSwitch; a deployment's name is in the names of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from provisioner.inventory.spec import Spec

Place = tuple[str | int, ...]

LONGEST_TAG = 128
SHORTEST_PREFIX, LONGEST_PREFIX = 8, 28


def refused_by_the_service(spec: Spec) -> Iterator[tuple[Place, str]]:
    """Each field whose value the service would refuse in a creating call, and why."""
    if len(spec.name) < 2:
        yield ("name",), "the service takes names of two characters or more for a security group"
    if "--" in spec.name:
        yield ("name",), "the service takes no two hyphens in a row in a host name"
    for key, value in spec.cloud.tags.items():
        place: Place = ("cloud", "tags", key)
        if not 1 <= len(key) <= LONGEST_TAG or len(value) > LONGEST_TAG:
            yield place, f"a tag's key has 1 to {LONGEST_TAG} characters, its value up to {LONGEST_TAG}"
        if key.startswith(("aliyun", "acs:", "provisioner:")):
            yield place, "a tag's key must not begin with aliyun, acs: or provisioner:"
        if value.startswith(("aliyun", "acs:")):
            yield place, "a tag's value must not begin with aliyun or acs:"
        if any(scheme in text for scheme in ("http://", "https://") for text in (key, value)):
            yield place, "a tag must not hold a URL"
    network = ip_network(spec.cloud.vpc_cidr)
    if network.version != 4 or not SHORTEST_PREFIX <= network.prefixlen <= LONGEST_PREFIX:
        yield (
            ("cloud", "vpc_cidr"),
            f"{network} cannot be a VPC's: an IPv4 network from /{SHORTEST_PREFIX} to /{LONGEST_PREFIX}",
        )
