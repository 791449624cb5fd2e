"""The outside as the steps see it. `adapters/` implements these; tests hand in their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from provisioner.hosts.address import HostAddress
from provisioner.resources import (
    CommandResult,
    Image,
    IngressRule,
    Instance,
    InstanceRequest,
    Kind,
    Price,
    Resource,
    TypeOffer,
)
from provisioner.secret import Secret

OnLine = Callable[[str], None]
"""Called with each line of output, without its line end, as it arrives (stdout and stderr in arrival order)."""

OnBytes = Callable[[int, int], None]
"""Called as a file is copied, with the bytes so far and the bytes in all (0 where that is not known)."""


class Clock(Protocol):
    """Time, so that a test can hold it."""

    def now(self) -> datetime:
        """The time of day, UTC, with its zone."""
        ...

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait so long."""
        ...


class Cloud(Protocol):
    """Alibaba Cloud ECS and VPC in one region.

    `endpoint` is the API's host. Every method retries what a retry can mend (throttling, an operation in progress, 5xx,
    a lost reply: with the same token) within a deadline, and raises errors.CloudError's children for the rest. `tags`
    always go into the creating call itself. Creating calls return ids; with the token of an earlier call they return
    that call's ids.
    """

    region: str
    endpoint: str

    @property
    def account_id(self) -> str:
        """GetCallerIdentity: the account that the credentials belong to."""
        ...

    def find(self, kind: Kind, tags: Mapping[str, str]) -> list[Resource]:
        """All resources of a kind that carry all of `tags`, every page of them. Never [] because of an error."""
        ...

    def create_vpc(self, name: str, cidr: str, tags: Mapping[str, str], token: str) -> str:
        """CreateVpc, and wait until it is Available."""
        ...

    def create_vswitch(self, vpc_id: str, zone: str, cidr: str, name: str, tags: Mapping[str, str], token: str) -> str:
        """CreateVSwitch, and wait until it is Available."""
        ...

    def create_security_group(self, vpc_id: str, name: str, tags: Mapping[str, str], token: str) -> str:
        """CreateSecurityGroup. It lets nothing in until `authorize`."""
        ...

    def ingress_rules(self, group_id: str) -> list[IngressRule]:
        """DescribeSecurityGroupAttribute: what the group lets in."""
        ...

    def authorize(self, group_id: str, rules: Sequence[IngressRule]) -> None:
        """AuthorizeSecurityGroup: let these in; one that is there already is left as it is."""
        ...

    def revoke(self, group_id: str, rules: Sequence[IngressRule]) -> None:
        """RevokeSecurityGroup: no longer let these in."""
        ...

    def import_key_pair(self, name: str, public_key: str, tags: Mapping[str, str]) -> str:
        """ImportKeyPair; its name is its id. A pair of this name that holds the same key counts as done."""
        ...

    def newest_image(self, family: str, instance_type: str) -> Image:
        """DescribeImages: the newest image of a system image family. Raises TypeRefusedError when the type has none."""
        ...

    def run_instances(self, request: InstanceRequest, tags: Mapping[str, str], token: str) -> list[str]:
        """RunInstances, all or none. Does not wait.

        Raises NoCapacityError when another candidate may do, its child TypeRefusedError when only another type may.
        """
        ...

    def check_run_instances(self, request: InstanceRequest, tags: Mapping[str, str]) -> None:
        """RunInstances with DryRun: returns when the real call would pass, raises what it would raise."""
        ...

    def instances(self, tags: Mapping[str, str]) -> list[Instance]:
        """DescribeInstances by tag, every page."""
        ...

    def set_deletion_protection(self, instance_ids: Sequence[str], on: bool) -> None:
        """ModifyInstanceAttribute."""
        ...

    def set_name(self, instance_id: str, name: str) -> None:
        """ModifyInstanceAttribute; the host name stays as it is."""
        ...

    def set_auto_release(self, instance_ids: Sequence[str], at: datetime | None) -> None:
        """ModifyInstanceAutoReleaseTime; without a time they are no longer released by themselves."""
        ...

    def set_bandwidth(self, instance_ids: Sequence[str], mbps: int) -> None:
        """ModifyInstanceNetworkSpec: the outgoing bandwidth of their public addresses. They must be running."""
        ...

    def tag(self, kind: Kind, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """TagResources: a tag that is there already gets the value given here."""
        ...

    def untag(self, kind: Kind, ids: Sequence[str], keys: Sequence[str]) -> None:
        """UntagResources; a tag that is not there is no error."""
        ...

    def run_command(self, instance_ids: Sequence[str], script: str, *, timeout_s: int = 60) -> dict[str, CommandResult]:
        """Cloud Assistant's RunCommand on up to 100 instances at once; waits for the agent and for all results."""
        ...

    def stock(self, instance_types: Sequence[str], *, spot: bool = False) -> dict[str, list[str]]:
        """DescribeAvailableResource: the zones in stock for each type; a type without stock has an empty list."""
        ...

    def zones(self) -> list[str]:
        """DescribeZones: the region's zones that take new instances and VSwitches."""
        ...

    def type_offers(self, instance_types: Sequence[str]) -> list[TypeOffer]:
        """DescribeInstanceTypes: those of `instance_types` that the service knows."""
        ...

    def price(self, request: InstanceRequest) -> Price:
        """DescribePrice for one instance of this kind, with its disk and bandwidth, per hour."""
        ...

    def delete(self, kind: Kind, ids: Sequence[str]) -> list[str]:
        """Delete, and wait until they are gone; those that the service says it has deleted now.

        One that is gone already, or that never was, is no error and not among them.

        Retries while a dependency or the state is in the way (an instance that is still Initializing, a group that a
        released instance still holds), with Force for running instances, protection removed first.
        """
        ...


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit status, and all it printed (stdout and stderr in arrival order)."""

    status: int
    output: str


class Shell(Protocol):
    """A place to run commands and put files: a host, or a container on one."""

    name: str

    def run(
        self,
        command: str,
        *,
        timeout_s: float | None = 600,
        on_line: OnLine | None = None,
        check: bool = True,
    ) -> Completed:
        """Run with `/bin/sh -c`, in the login's home folder; wait for its end.

        Raises CommandError when it ends non-zero and `check` is set, CommandTimeoutError, ConnectError.
        """
        ...

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file whole or not at all: to a temporary name beside it, verified, then renamed.

        A relative `path` is below the login's home folder; missing folders are made.
        """
        ...

    def get(self, path: str) -> bytes:
        """A file's content. Raises CommandError when it cannot be read."""
        ...


class Connection(Shell, Protocol):
    """One verified connection to a host, shared by everything that talks to it. Safe to use from several threads."""

    def dial(self, host: str, port: int) -> Any:
        """A socket-like object (send, recv, close, settimeout) to an address as seen from the host."""
        ...

    def dial_command(self, command: str) -> Any:
        """A socket-like object to the stdin and stdout of a command."""
        ...

    def interactive(self, command: str | None) -> int:
        """A session on this process's own terminal: a login shell, or `command`; its exit status."""
        ...

    def put_file(self, local: Path, path: str, *, on_bytes: OnBytes | None = None) -> None:
        """As `put`, streamed from a file here, with its mode."""
        ...

    def get_file(self, path: str, local: Path, *, on_bytes: OnBytes | None = None) -> None:
        """As `get`, streamed to a file here, whole or not at all."""
        ...

    def close(self) -> None:
        """End it; calling twice is fine."""
        ...


class Connector(Protocol):
    """Makes connections; each call connects anew."""

    def connect(self, host: HostAddress, *, ready_timeout_s: float) -> Connection:
        """Connect, retrying while the host is still starting, until `ready_timeout_s`.

        Raises HostKeyError at once when the key is not the known one, ConnectError when the time is over or the
        login is refused for good.
        """
        ...

    def close(self) -> None:
        """End what the connections shared, as the one to a jump host. The connections are their users' to close."""
        ...


class HostLogs(Protocol):
    """What commands print on each host, kept in a file for each. Bounded; safe to use from several threads."""

    def path(self, host: str) -> Path:
        """Where a host's log is, or would be."""
        ...

    def append(self, host: str, line: str) -> None:
        """A line, with its time; secrets in it are masked."""
        ...


@dataclass(frozen=True)
class ContainerRequest:
    """How a container is started.

    `volumes` maps paths on the host to paths inside; `health` is a shell command that the engine runs inside every
    minute, whose status tells whether all is well there.
    """

    name: str
    image: str
    privileged: bool = False
    capabilities: tuple[str, ...] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shm_size_mib: int = 0
    health: str = ""


@dataclass(frozen=True)
class ContainerState:
    """A container as the engine shows it. `image_id` is a digest; `status` is created, running, exited, …

    `since` is when it came to that status (ISO 8601, UTC, seconds), "" where the engine does not say. `health` is
    starting, healthy or unhealthy, "" without a check; `health_check` is that check's command. `volumes`
    maps paths on the host to paths inside.
    """

    name: str
    image: str
    image_id: str
    status: str
    privileged: bool
    since: str = ""
    health: str = ""
    health_check: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """The Docker engine of one host, reached through the host's verified connection."""

    def ping(self) -> str | None:
        """The engine's version, or None when no engine answers. Raises HostError for one that cannot do the work."""
        ...

    def image_id(self, tag: str) -> str | None:
        """The id of a local image, or None when it is not there."""
        ...

    def free_gib(self) -> float:
        """The free space on the disk that the engine keeps its images on, in GiB."""
        ...

    def pull(
        self, tag: str, *, mirror: str | None, on_progress: OnLine, login: tuple[str, Secret] | None = None
    ) -> str:
        """Pull a tag, shown by layer; its digest. `login` is a user name and password for the registry.

        Raises HostError: unknown tag, registry unreachable, access denied, no space.
        """
        ...

    def push(self, tag: str, *, on_progress: OnLine, login: tuple[str, Secret] | None = None) -> str:
        """Push an image under its own name, shown by layer; its digest there. `login` as for `pull`.

        Raises HostError: no such image, registry unreachable, access denied, no such repository.
        """
        ...

    def build(self, tag: str, files: Mapping[str, bytes], *, arguments: Mapping[str, str], on_progress: OnLine) -> str:
        """Build an image from a context of files (one of them `Dockerfile`); its id. A failure shows the last lines."""
        ...

    def container(self, name: str) -> ContainerState | None:
        """A container by name, or None."""
        ...

    def start(self, request: ContainerRequest) -> None:
        """Start a container (host network, kept running), replacing one of the same name."""
        ...

    def remove(self, name: str) -> None:
        """Remove a container; gone already is fine."""
        ...

    def shell(self, name: str) -> Shell:
        """The inside of a running container."""
        ...
