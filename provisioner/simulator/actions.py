"""The actions of the service: how one is declared, and what it is handed when it is called."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from provisioner.simulator.errors import ApiError
from provisioner.simulator.parameters import Params

if TYPE_CHECKING:
    from provisioner.simulator.faults import Fault, Faults
    from provisioner.simulator.state.account import Account
    from provisioner.simulator.state.resource import Resource

ECS = "2014-05-26"
VPC = "2016-04-28"
STS = "2015-04-01"

Answer = dict[str, Any]
AnyResource = TypeVar("AnyResource", bound="Resource")


class Numbered(Protocol):
    """Something that lists show in a lasting order."""

    @property
    def serial(self) -> int:
        """Its place in that order."""
        ...


AnyNumbered = TypeVar("AnyNumbered", bound=Numbered)

MODULES = (
    "offers", "image", "vpc", "vswitch", "security_group", "key_pair", "disk", "eip",
    "launch", "instance_power", "instance_view", "command", "tag",
)  # fmt: skip


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

    def covers(self, resource: Resource) -> bool:
        """Whether a resource is in the region that the call names, if it names one."""
        return "RegionId" not in self.params or resource.region == self.region

    def seen(self, table: Mapping[str, AnyResource]) -> list[AnyResource]:
        """The resources of a table that this call sees: in its region, with its tags, not released, oldest first."""
        wanted = self.params.tag_filter()
        stale_s = self.fault.delay_s if self.fault and self.fault.kind == "stale" else 0.0
        return [
            resource
            for resource in table.values()
            if self.covers(resource)
            and resource.exists(self.now - stale_s)
            and all(key in resource.tags and value in (None, resource.tags[key]) for key, value in wanted.items())
        ]

    def get(self, table: Mapping[str, AnyResource], resource_id: str, code: str) -> AnyResource:
        """A resource by its id, which must exist in the call's region."""
        resource = table.get(resource_id)
        if resource is None or resource.released_at is not None or not self.covers(resource):
            raise ApiError(code)
        return resource

    def page(self, found: list[AnyNumbered]) -> tuple[list[AnyNumbered], Answer]:
        """Cut one page out of what was found, by NextToken or by page number; and the answer's fields about it."""
        params = self.params
        if "MaxResults" in params or "NextToken" in params:
            size = min(max(params.number("MaxResults", 10, least=1, most=10_000), 10), 100)
            last = _read_token(params.text("NextToken"))
            rest = [resource for resource in found if resource.serial > last]
            token = _write_token(rest[size - 1].serial) if len(rest) > size else ""
            return rest[:size], {"TotalCount": len(found), "MaxResults": size, "NextToken": token}
        size = params.number("PageSize", 10, least=1, most=100)
        number = params.number("PageNumber", 1, least=1, most=1_000_000)
        first = (number - 1) * size
        return found[first : first + size], {"TotalCount": len(found), "PageNumber": number, "PageSize": size}


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Action:
    """An action of the service. `idempotent` ones honour ClientToken; `changes` says whether it may change anything."""

    handler: Handler
    idempotent: bool
    changes: bool


REGISTRY: dict[tuple[str, str], Action] = {}
"""(version, name) -> action."""


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
    for module in MODULES:  # each declares its actions when it is first imported
        importlib.import_module(f"provisioner.simulator.state.{module}")
    if (version, name) in REGISTRY:
        return REGISTRY[version, name]
    raise ApiError("InvalidVersion" if version not in (ECS, VPC, STS) else "InvalidAction.NotFound")


def matches(pattern: str, text: str) -> bool:
    """Whether a name filter (with * as a wildcard; "" for any) matches."""
    return not pattern or fnmatchcase(text, pattern)


def _write_token(serial: int) -> str:
    return base64.urlsafe_b64encode(f"after:{serial}".encode()).decode()


def _read_token(token: str) -> int:
    if not token:
        return -1
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("after:"))
    except ValueError:
        raise ApiError("InvalidParameter", 'The specified parameter "NextToken" is not valid.') from None
