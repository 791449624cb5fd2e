"""A cloud in memory: tags, ClientTokens, stock and states as in the real one, and a process that dies on request."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar, cast

from provisioner.errors import CloudRefusedError, NoCapacityError
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

Answer = TypeVar("Answer")
Method = TypeVar("Method", bound=Callable[..., Any])

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DPMRD6OIh65tjkxFNOtGcwWB2gCgPhk"


class Killed(BaseException):
    """The process is gone, as after SIGKILL: nothing that catches Exception may go on."""


@dataclass
class Fuse:
    """Ends the process at its `at`-th crossing (counted from 1); without `at` it only counts."""

    at: int | None = None
    crossed: int = 0

    def cross(self) -> None:
        self.crossed += 1
        if self.crossed == self.at:
            raise Killed(f"at crossing {self.at}")


@dataclass(frozen=True)
class Call:
    """One call: the port's method and its arguments."""

    name: str
    args: tuple[Any, ...]


def _call(method: Method) -> Method:
    """A method of the port: it is logged, it can be told to fail, and the process can die before or after it."""
    verbs = ("create_", "import_", "run_", "set_", "tag", "untag", "authorize", "revoke", "delete")
    changes = method.__name__.startswith(verbs)

    @functools.wraps(method)
    def call(self: FakeCloud, *args: Any, **kwargs: Any) -> Any:
        if changes:
            self.fuse.cross()
        self.calls.append(Call(method.__name__, args))
        failures = self.failures.get(method.__name__)
        if failures:
            raise failures.pop(0)
        answer = method(self, *args, **kwargs)
        lost = self.lost.get(method.__name__)
        if lost:
            raise lost.pop(0)
        if changes:
            self.fuse.cross()
        return answer

    return cast(Method, call)


class FakeCloud:
    """Implements ports.Cloud.

    Attributes:
        sold_out: (instance type, zone) pairs without stock; "*" stands for any.
        failures: method name -> errors for its next calls, which then change nothing.
        lost: method name -> errors for its next calls, which make their change before.
        hidden: how many lookups what is made from now on stays invisible for.
        now: the time, to tell a release time that is too near.
        polls_until_running: how often a new instance shows Pending and Starting before it runs.
        first_zones: the zones that `stock` shows for every type, unless `in_stock` has it.
        in_stock: instance type -> the zones that `stock` shows for it.
        cpu: the processor of every type, one vCPU a core.
    """

    region = "cn-hangzhou"
    endpoint = "ecs.cn-hangzhou.aliyuncs.com"
    account_id = "1234567890123456"

    def __init__(self) -> None:
        self.fuse = Fuse()
        self.calls: list[Call] = []
        self.failures: dict[str, list[BaseException]] = {}
        self.lost: dict[str, list[BaseException]] = {}
        self.resources: dict[str, Resource] = {}
        self.machines: dict[str, Instance] = {}
        self.rules: dict[str, list[IngressRule]] = {}
        self.sold_out: set[tuple[str, str]] = set()
        self.hidden = 0
        self.polls_until_running = 2
        self.now: Callable[[], datetime] | None = None
        self.region_zones = ["cn-hangzhou-i", "cn-hangzhou-j", "cn-hangzhou-k"]
        self.first_zones = ["cn-hangzhou-j"]
        self.in_stock: dict[str, list[str]] = {}
        self.cpu = "AMD EPYC 9T95"
        self.command_results: Callable[[str], CommandResult] = lambda instance_id: CommandResult(
            instance_id, "Success", 0, f"{HOST_KEY} root@{instance_id}\n"
        )
        self._numbers = itertools.count(1)
        self._answers: dict[str, tuple[object, Any]] = {}
        self._unseen: dict[str, int] = {}

    # ------------------------------------------------------------------------------------------------- for tests

    def count(self) -> Counter[str]:
        """How many there are of each kind."""
        return Counter(resource.kind for resource in self.resources.values())

    def called(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of a method."""
        return [call.args for call in self.calls if call.name == name]

    def add(self, kind: Kind, tags: Mapping[str, str], **fields: Any) -> str:
        """Something that somebody made."""
        identifier: str = fields.pop("id", f"{kind}-{next(self._numbers)}")
        self.resources[identifier] = Resource(kind, identifier, fields.pop("name", "n"), tags=dict(tags), **fields)
        self._unseen[identifier] = self.hidden
        return identifier

    def change(self, instance_id: str, **fields: Any) -> None:
        """Somebody else changes an instance."""
        self.machines[instance_id] = replace(self.machines[instance_id], **fields)

    # ------------------------------------------------------------------------------------------------- the port

    @_call
    def find(self, kind: Kind, tags: Mapping[str, str]) -> list[Resource]:
        return [r for r in self.resources.values() if r.kind == kind and self._shows(r, tags)]

    @_call
    def create_vpc(self, name: str, cidr: str, tags: Mapping[str, str], token: str) -> str:
        return self._once(token, ("vpc", name, cidr, tags), lambda: self.add("vpc", tags, name=name))

    @_call
    def create_vswitch(self, vpc_id: str, zone: str, cidr: str, name: str, tags: Mapping[str, str], token: str) -> str:
        asked = ("vswitch", vpc_id, zone, cidr, name, tags)
        return self._once(token, asked, lambda: self.add("vswitch", tags, name=name, zone=zone))

    @_call
    def create_security_group(self, vpc_id: str, name: str, tags: Mapping[str, str], token: str) -> str:
        asked = ("security-group", vpc_id, name, tags)
        return self._once(token, asked, lambda: self.add("security-group", tags, name=name))

    @_call
    def ingress_rules(self, group_id: str) -> list[IngressRule]:
        return list(self.rules.get(group_id, []))

    @_call
    def authorize(self, group_id: str, rules: Sequence[IngressRule]) -> None:
        there = self.rules.setdefault(group_id, [])
        there += [rule for rule in rules if rule not in there]

    @_call
    def revoke(self, group_id: str, rules: Sequence[IngressRule]) -> None:
        self.rules[group_id] = [rule for rule in self.rules[group_id] if rule not in rules]

    @_call
    def import_key_pair(self, name: str, public_key: str, tags: Mapping[str, str]) -> str:
        known = self.resources.get(name)
        if known is None:
            self.add("key-pair", tags, id=name, name=name, state=public_key)
        elif known.state != public_key:
            raise CloudRefusedError(f"key pair {name} holds another key", code="KeyPair.AlreadyExist")
        return name

    @_call
    def newest_image(self, family: str, instance_type: str) -> Image:
        return Image(f"image-{next(self._numbers)}", family, family, 20, "2026-01-01")

    @_call
    def run_instances(self, request: InstanceRequest, tags: Mapping[str, str], token: str) -> list[str]:
        return list(self._once(token, (request, tags), lambda: self._launch(request, tags)))

    def _launch(self, request: InstanceRequest, tags: Mapping[str, str]) -> list[str]:
        for pair in itertools.product((request.instance_type, "*"), (request.zone, "*")):
            if pair in self.sold_out:
                where = f"{request.instance_type} in {request.zone}"
                raise NoCapacityError(f"no stock of {where}", code="OperationDenied.NoStock")
        release = request.auto_release_at
        if release and self.now and release.replace(second=0) - self.now() < timedelta(minutes=30):
            raise CloudRefusedError("too near", code="InvalidAutoReleaseTime.Malformed")
        made = []
        for name in request.names:
            identifier = self.add("instance", tags, name=name, zone=request.zone)
            number = identifier.rpartition("-")[2]
            self.machines[identifier] = Instance(
                identifier,
                name,
                "Pending" if self.polls_until_running else "Running",
                request.instance_type,
                request.zone,
                public_ip="" if self.polls_until_running else f"198.51.100.{number}",
                private_ip=f"172.16.0.{number}",
                created_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
                auto_release_at=request.auto_release_at,
                spot=request.spot is not None,
                deletion_protection=request.deletion_protection,
                bandwidth_mbps=request.internet_bandwidth_mbps,
                tags=dict(tags),
            )
            self._unseen[f"polls of {identifier}"] = self.polls_until_running
            made.append(identifier)
        return made

    @_call
    def check_run_instances(self, request: InstanceRequest, tags: Mapping[str, str]) -> None:
        return None

    @_call
    def instances(self, tags: Mapping[str, str]) -> list[Instance]:
        shown = [i for i in self.machines if self._shows(self.resources[i], tags)]
        for identifier in shown:
            left = self._unseen.get(f"polls of {identifier}", 0)
            if self.machines[identifier].state in ("Pending", "Starting"):
                if left:
                    self._unseen[f"polls of {identifier}"] = left - 1
                    self.change(identifier, state="Pending" if left > 1 else "Starting")
                else:
                    self.change(identifier, state="Running", public_ip=f"198.51.100.{identifier.rpartition('-')[2]}")
        return [self.machines[identifier] for identifier in shown]

    @_call
    def set_deletion_protection(self, instance_ids: Sequence[str], on: bool) -> None:
        for identifier in instance_ids:
            self.change(identifier, deletion_protection=on)

    @_call
    def set_name(self, instance_id: str, name: str) -> None:
        self.change(instance_id, name=name)

    @_call
    def tag(self, kind: Kind, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        for identifier in ids:
            self._retag(identifier, {**self.resources[identifier].tags, **tags})

    @_call
    def untag(self, kind: Kind, ids: Sequence[str], keys: Sequence[str]) -> None:
        for identifier in ids:
            tags = self.resources[identifier].tags
            self._retag(identifier, {key: value for key, value in tags.items() if key not in keys})

    def _retag(self, identifier: str, tags: Mapping[str, str]) -> None:
        self.resources[identifier] = replace(self.resources[identifier], tags=tags)
        if identifier in self.machines:
            self.change(identifier, tags=tags)

    @_call
    def set_auto_release(self, instance_ids: Sequence[str], at: datetime | None) -> None:
        for identifier in instance_ids:
            self.change(identifier, auto_release_at=at)

    @_call
    def set_bandwidth(self, instance_ids: Sequence[str], mbps: int) -> None:
        for identifier in instance_ids:
            self.change(identifier, bandwidth_mbps=mbps)

    @_call
    def run_command(self, instance_ids: Sequence[str], script: str, *, timeout_s: int = 60) -> dict[str, CommandResult]:
        return {identifier: self.command_results(identifier) for identifier in instance_ids}

    @_call
    def stock(self, instance_types: Sequence[str], *, spot: bool = False) -> dict[str, list[str]]:
        return {name: list(self.in_stock.get(name, self.first_zones)) for name in instance_types}

    @_call
    def zones(self) -> list[str]:
        return list(self.region_zones)

    @_call
    def type_offers(self, instance_types: Sequence[str]) -> list[TypeOffer]:
        return [TypeOffer(name, 8, 32.0, self.cpu, "x86_64", 1) for name in instance_types]

    @_call
    def price(self, request: InstanceRequest) -> Price:
        return Price(2.5, "CNY")

    @_call
    def delete(self, kind: Kind, ids: Sequence[str]) -> list[str]:
        for identifier in ids:
            if self.resources.get(identifier, Resource(kind, identifier, "")).kind != kind:
                raise CloudRefusedError(f"{identifier} is no {kind}")
        deleted = [identifier for identifier in ids if self.resources.pop(identifier, None)]
        for identifier in deleted:
            self.machines.pop(identifier, None)
        return deleted

    # ------------------------------------------------------------------------------------------------- inner workings

    def _shows(self, resource: Resource, tags: Mapping[str, str]) -> bool:
        if not tags.items() <= resource.tags.items():
            return False
        if self._unseen[resource.id] > 0:
            self._unseen[resource.id] -= 1
            return False
        return True

    def _once(self, token: str, asked: Any, make: Callable[[], Answer]) -> Answer:
        if token in self._answers:
            before, answer = self._answers[token]
            if before != asked:
                raise CloudRefusedError("another call had this token", code="IdempotentParameterMismatch")
            return cast(Answer, answer)
        made = make()  # a call that is refused uses no token up
        self._answers[token] = (asked, made)
        return made
