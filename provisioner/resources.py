"""What there is in the cloud, and what it is asked for: plain values, in the field's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from provisioner.inventory.spec import SpotSpec, SystemDiskSpec

Kind = Literal["vpc", "vswitch", "security-group", "key-pair", "instance", "disk", "eip"]
KINDS: tuple[Kind, ...] = ("instance", "disk", "eip", "key-pair", "security-group", "vswitch", "vpc")
"""Everything we create, in the order in which it can be deleted."""

TAG_NAME = "provisioner:name"
TAG_RUN = "provisioner:run"


@dataclass(frozen=True)
class Resource:
    """Anything in the cloud that carries our tags."""

    kind: Kind
    id: str
    name: str
    state: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    zone: str = ""


@dataclass(frozen=True)
class Instance:
    """An ECS instance as DescribeInstances shows it. States: Pending, Starting, Running, Stopping, Stopped.

    `bandwidth_mbps` is that of its own public address, None when it has another's (an EIP) or none.
    """

    id: str
    name: str
    state: str
    instance_type: str
    zone: str
    public_ip: str
    private_ip: str
    created_at: datetime
    auto_release_at: datetime | None = None
    spot: bool = False
    deletion_protection: bool = False
    bandwidth_mbps: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class IngressRule:
    """One security group rule that lets traffic in. `ports` is the API's `FROM/TO`; protocol in lower case."""

    protocol: str
    ports: str
    source: str
    description: str = ""


@dataclass(frozen=True)
class InstanceRequest:
    """Everything RunInstances is told, apart from tags and token. Times are UTC."""

    names: Sequence[str]
    instance_type: str
    zone: str
    image_id: str
    vswitch_id: str
    security_group_id: str
    key_pair: str
    system_disk: SystemDiskSpec
    internet_bandwidth_mbps: int
    spot: SpotSpec | None = None
    auto_release_at: datetime | None = None
    deletion_protection: bool = False
    ram_role: str | None = None
    user_data: str = ""
    login_as_non_root: bool = False


@dataclass(frozen=True)
class Image:
    """A system image; `size_gib` is the least system disk it fits on."""

    id: str
    family: str
    name: str
    size_gib: int
    created_at: str


@dataclass(frozen=True)
class TypeOffer:
    """An instance type as the cloud describes it; `threads_per_core` is 0 where it does not say."""

    instance_type: str
    vcpus: int
    memory_gib: float
    cpu_model: str
    architecture: str
    threads_per_core: int = 0


@dataclass(frozen=True)
class Identity:
    """Whom credentials belong to: the account, and the user or role in it."""

    account_id: str
    arn: str


@dataclass(frozen=True)
class Price:
    """What one instance costs an hour, in `currency`."""

    per_hour: float
    currency: str


@dataclass(frozen=True)
class CommandResult:
    """What Cloud Assistant's RunCommand gave on one instance. `state` is Success, Failed, Timeout, …"""

    instance_id: str
    state: str
    exit_code: int | None
    output: str
    error_code: str = ""
