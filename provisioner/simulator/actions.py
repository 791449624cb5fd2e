"""The actions of the service: how one is declared, and what it is handed when it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeVar

from provisioner.simulator import paging
from provisioner.simulator.account import Account, AnyResource, Resource
from provisioner.simulator.errors import ApiError
from provisioner.simulator.faults import Fault, Faults
from provisioner.simulator.parameters import Params

ECS = "2014-05-26"
VPC = "2016-04-28"
STS = "2015-04-01"

Answer = dict[str, Any]


class Numbered(Protocol):
    """Something that lists show in a lasting order."""

    @property
    def serial(self) -> int:
        """Its place in that order."""
        ...


AnyNumbered = TypeVar("AnyNumbered", bound=Numbered)


@dataclass
class Call:
    """One call of an action: its parameters, and the account that it is about, held still at one moment."""

    action: str
    params: Params
    account: Account
    faults: Faults
    now: float
    fault: Fault | None = None

    @property
    def region(self) -> str:
        """The RegionId, which must exist. The real service's endpoints are regional, so not all calls name one."""
        region = self.params.text("RegionId", "cn-hangzhou")
        if region not in self.account.catalog.regions:
            raise ApiError("InvalidRegionId.NotFound")
        return region

    def checked(self, code: str = "DryRunOperation") -> None:
        """To be called when everything was validated and nothing is changed yet: ends a dry run."""
        if self.params.flag("DryRun"):
            raise ApiError(code)

    def check_removable(self, resource: Resource) -> None:
        """Raise the error of what depends on a resource, if anything does."""
        for other in self.account.dependants(resource, self.now):
            raise ApiError(other.blocks_removal(resource))

    def covers(self, resource: Resource) -> bool:
        """Whether a resource is in the region that the call names, if it names one."""
        return "RegionId" not in self.params or resource.region == self.region

    def seen(self, kind: type[AnyResource]) -> list[AnyResource]:
        """The resources of a kind that this call sees: in its region, with its tags, not released, oldest first."""
        tags = self.params.tag_filter()
        stale_s = self.fault.delay_s if self.fault and self.fault.kind == "stale" else 0.0
        return [
            resource
            for resource in self.account.table(kind).values()
            if self.covers(resource)
            and resource.exists(self.now - stale_s)
            and all(key in resource.tags and value in (None, resource.tags[key]) for key, value in tags.items())
        ]

    def existing(self, kind: type[AnyResource]) -> list[AnyResource]:
        """The resources of a kind that there are in the call's region, whatever the call asks to see."""
        return [r for r in self.account.table(kind).values() if r.region == self.region and r.exists(self.now)]

    def get(self, kind: type[AnyResource], resource_id: str, code: str = "") -> AnyResource:
        """A resource by its id, which must exist in the call's region; else the kind's error or `code`."""
        resource = self.account.table(kind).get(resource_id)
        if resource is None or resource.released_at is not None or not self.covers(resource):
            raise ApiError(code or kind.not_found)
        return resource

    def need(self, kind: type[AnyResource], parameter: str) -> AnyResource:
        """The resource whose id a parameter holds, which must be given."""
        return self.get(kind, self.params.need(parameter))

    def page(self, rows: list[AnyNumbered]) -> tuple[list[AnyNumbered], Answer]:
        """Cut the page that is asked for out of a list; and the answer's fields about it."""
        return paging.cut(self.params, rows, lambda row: row.serial)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Action:
    """An action of the service. `idempotent` ones honour ClientToken; `changes` says whether it may change anything."""

    handler: Handler
    idempotent: bool
    changes: bool


REGISTRY: dict[tuple[str, str], Action] = {}
"""(version, name) -> action. Each is added when its module in state/ is imported."""


def action(*names: str, versions: Iterable[str] = (ECS,), idempotent: bool = False) -> Callable[[Handler], Handler]:
    """Declare a function to be an action of the service, under these names and API versions."""

    def declare(handler: Handler) -> Handler:
        for version in versions:
            for name in names:
                changes = not name.startswith(("Describe", "List", "Get"))
                REGISTRY[version, name] = Action(handler, idempotent, changes)
        return handler

    return declare


def find(version: str, name: str) -> Action:
    """The action that a request names; InvalidAction.NotFound or InvalidVersion without it."""
    if (version, name) in REGISTRY:
        return REGISTRY[version, name]
    raise ApiError("InvalidVersion" if version not in (ECS, VPC, STS) else "InvalidAction.NotFound")


def matches(pattern: str, text: str) -> bool:
    """Whether a name filter (with * as a wildcard; "" for any) matches."""
    return not pattern or fnmatchcase(text, pattern)
