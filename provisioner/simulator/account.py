"""The account: everything it holds, its limits, and time passing over it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from provisioner.simulator.catalog import Catalog, load
from provisioner.simulator.machines.fleet import Fleet

BALANCE = 10_000.0
LEAST_BALANCE = 100.0
REMEMBERED_S = 600.0  # how long a released resource is kept, for faults that show the past

KINDS: list[type[Resource]] = []
"""Every kind of resource: each adds itself when its module in state/ is imported."""

QUOTAS: dict[str, int] = {}
"""The account's limits by name, as the kinds of resources declare them."""


@dataclass
class Resource:
    """A thing in the account; a subclass is a kind of resource and registers itself by its class arguments:

    `class Vpc(Resource, kind="vpc", table="vpcs", not_found="InvalidVpcId.NotFound")`

    - kind: its name for people; without hyphens also the ResourceType of the tag actions.
    - table: what it is kept under in the account's file.
    - not_found: the error code for an id that names none.
    - quotas: limits of the account that come with it, by name.
    - of_vpc: whether VPC's tag actions see to it, and not ECS's.
    - listed: False for a record of something that happened, which is no resource to list or tag.

    Every field is a JSON value, so that an account can be kept in a file. Times are seconds since 1970, of the
    simulated clock. `serial` counts all resources ever made (the order of lists). A released one stays for a while as
    something that others still depend on, and is no longer seen.
    """

    kind: ClassVar[str]
    table: ClassVar[str]
    not_found: ClassVar[str]
    of_vpc: ClassVar[bool]
    listed: ClassVar[bool]

    id: str
    serial: int
    region: str
    name: str
    created: float
    tags: dict[str, str] = field(default_factory=dict, kw_only=True)
    released_at: float | None = field(default=None, kw_only=True)

    def __init_subclass__(
        cls,
        *,
        kind: str,
        table: str,
        not_found: str,
        quotas: Mapping[str, int] | None = None,
        of_vpc: bool = False,
        listed: bool = True,
    ) -> None:
        super().__init_subclass__()
        cls.kind, cls.table, cls.not_found, cls.of_vpc, cls.listed = kind, table, not_found, of_vpc, listed
        KINDS.append(cls)
        QUOTAS.update(quotas or {})

    @property
    def api_id(self) -> str:
        """What calls know it by."""
        return self.id

    def exists(self, at: float) -> bool:
        """Whether a look at this time sees it."""
        return self.created <= at and (self.released_at is None or at < self.released_at)

    def blocks_removal(self, other: Resource) -> str:  # noqa: ARG002
        """The error code of removing another resource while this one is there; "" if that may go."""
        return ""

    def settle(self, account: Account, now: float) -> None:
        """Let time pass over it until `now`."""

    def instance_released(self, instance_id: str, now: float) -> None:
        """Follow, or let go of, an instance that is released now."""

    def restored(self, account: Account) -> None:
        """Come back to life after it was read from a file."""


AnyResource = TypeVar("AnyResource", bound=Resource)


@dataclass(frozen=True)
class Durations:
    """How long things take, in seconds, by default and scaled by the pace (30 is about the real service)."""

    network: float
    pending: float
    stopped: float
    starting: float
    stopping: float
    lag: float

    @classmethod
    def at_pace(cls, pace: float) -> Durations:
        """The defaults, times `pace`; with 0 everything happens at once."""
        return cls(*(pace * part for part in (0.2, 0.3, 0.1, 0.6, 0.3, 0.3)))


@dataclass
class Account:
    """All that one account holds in all regions. Its methods are called under one lock, by the service."""

    fleet: Fleet
    durations: Durations
    clock: Callable[[], float]
    catalog: Catalog = field(default_factory=load)
    quotas: dict[str, int] = field(default_factory=lambda: dict(QUOTAS))
    balance: float = BALANCE
    id: str = field(default_factory=lambda: f"1{secrets.randbelow(10**15):015}")
    serial: int = 0
    tables: dict[type[Resource], dict[str, Resource]] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def next_serial(self) -> int:
        """The number of a new resource."""
        self.serial += 1
        return self.serial

    def table(self, kind: type[AnyResource]) -> dict[str, AnyResource]:
        """The resources of a kind by id, released ones too."""
        return cast("dict[str, AnyResource]", self.tables.setdefault(kind, {}))

    def add(self, resource: AnyResource) -> AnyResource:
        """Keep a new resource."""
        self.table(type(resource))[resource.id] = resource
        return resource

    def every(self) -> list[Resource]:
        """The resources of all kinds, oldest first, released ones too."""
        return sorted((r for kind in KINDS for r in self.table(kind).values()), key=lambda r: r.serial)

    def lingers(self, resource: Resource, now: float) -> bool:
        """Whether others still depend on a resource: it is there, or was until a moment ago."""
        return resource.released_at is None or now < resource.released_at + self.durations.lag

    def dependants(self, resource: Resource, now: float) -> list[Resource]:
        """What has to go, or has gone only a moment ago, before a resource may be removed."""
        return [
            other
            for other in self.every()
            if other is not resource and self.lingers(other, now) and other.blocks_removal(resource)
        ]

    def settle(self, now: float) -> None:
        """Let time pass until `now`: states move, instances are released when their time has come."""
        for resource in self.every():
            if resource.released_at is None:
                resource.settle(self, now)
            elif now > resource.released_at + max(REMEMBERED_S, self.durations.lag):
                del self.table(type(resource))[resource.id]

    def resources(self, now: float) -> list[dict[str, Any]]:
        """What exists now, oldest first, for people: kind, id, name, tags."""
        return [
            {"kind": resource.kind, "id": resource.api_id, "name": resource.name, "tags": resource.tags}
            for resource in self.every()
            if resource.listed and resource.exists(now)
        ]

    def save(self, path: Path) -> None:
        """Write everything to a file, whole or not at all."""
        tables = {kind.table: [asdict(resource) for resource in self.table(kind).values()] for kind in KINDS}
        content = json.dumps({"id": self.id, "serial": self.serial, "tokens": self.tokens, **tables})
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(content, encoding="utf-8")
        os.replace(temporary, path)

    def restore(self, path: Path) -> None:
        """Read what `save` wrote; machines of instances that were on boot again."""
        content = json.loads(path.read_text(encoding="utf-8"))
        self.id, self.serial, self.tokens = content.get("id", self.id), content["serial"], content["tokens"]
        self.tables = {
            kind: {row["id"]: kind(**row) for row in content.get(kind.table, [])}  # a kind may be newer than the file
            for kind in KINDS
        }
        for resource in self.every():
            resource.restored(self)
