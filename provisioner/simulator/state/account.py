"""The account: everything it holds, its limits, and time passing over it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from provisioner.simulator.state.catalog import Catalog, load
from provisioner.simulator.state.command import Invocation
from provisioner.simulator.state.disk import Disk
from provisioner.simulator.state.eip import Eip
from provisioner.simulator.state.instance import Instance
from provisioner.simulator.state.key_pair import KeyPair
from provisioner.simulator.state.resource import Resource
from provisioner.simulator.state.security_group import SecurityGroup
from provisioner.simulator.state.vpc import Vpc
from provisioner.simulator.state.vswitch import VSwitch

QUOTAS = {
    "instances": 200,
    "vcpus": 20_000,
    "vpcs": 10,
    "vswitches-per-vpc": 24,
    "security-groups": 100,
    "key-pairs": 500,
}
BALANCE = 10_000.0
LEAST_BALANCE = 100.0
REMEMBERED_S = 600.0  # how long a released resource is kept, for faults that show the past

TABLES: dict[str, tuple[str, type[Resource]]] = {
    "vpc": ("vpcs", Vpc),
    "vswitch": ("vswitches", VSwitch),
    "security-group": ("security_groups", SecurityGroup),
    "key-pair": ("key_pairs", KeyPair),
    "instance": ("instances", Instance),
    "disk": ("disks", Disk),
    "eip": ("eips", Eip),
    "invocation": ("invocations", Invocation),
}


class Hosting(Protocol):
    """Where instances' machines are; nothing here waits for them."""

    def create(self, instance_id: str) -> tuple[str, str]:
        """Set a machine aside; its (public, private) addresses, "" for one that the VSwitch is to choose."""
        ...

    def start(self, instance: Instance, public_keys: list[str]) -> None:
        """Begin to boot."""
        ...

    def stop(self, instance_id: str) -> None:
        """Begin to power off."""
        ...

    def remove(self, instance_id: str) -> None:
        """Begin to take away."""
        ...

    def ready(self, instance_id: str) -> bool:
        """Whether it is up and takes commands."""
        ...

    def console(self, instance_id: str) -> str:
        """What it printed."""
        ...

    def run_command(
        self,
        instance_id: str,
        script: str,
        timeout_s: float,
        done: Callable[[int | None, str], None],
        *,
        folder: str,
        user: str,
    ) -> None:
        """Begin a command; `done` gets its exit status (None when it ran out of time) and output."""
        ...


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

    hosting: Hosting
    durations: Durations
    clock: Callable[[], float]
    catalog: Catalog = field(default_factory=load)
    quotas: dict[str, int] = field(default_factory=lambda: dict(QUOTAS))
    balance: float = BALANCE
    serial: int = 0
    vpcs: dict[str, Vpc] = field(default_factory=dict)
    vswitches: dict[str, VSwitch] = field(default_factory=dict)
    security_groups: dict[str, SecurityGroup] = field(default_factory=dict)
    key_pairs: dict[str, KeyPair] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    disks: dict[str, Disk] = field(default_factory=dict)
    eips: dict[str, Eip] = field(default_factory=dict)
    invocations: dict[str, Invocation] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def next_serial(self) -> int:
        """The number of a new resource."""
        self.serial += 1
        return self.serial

    def lingers(self, resource: Resource, now: float) -> bool:
        """Whether others still depend on a resource: it is there, or was until a moment ago."""
        return resource.released_at is None or now < resource.released_at + self.durations.lag

    def settle(self, now: float) -> None:
        """Let time pass until `now`: states move, instances are released when their time has come."""
        for instance in list(self.instances.values()):
            if instance.released_at is not None:
                continue
            for state in instance.advance(now):
                if state == "Starting":
                    self.hosting.start(instance, self._public_keys(instance))
                elif state == "Stopping":
                    self.hosting.stop(instance.id)
            self._reclaim(instance, now)
            if instance.auto_release_at is not None and instance.auto_release_at <= now:
                self.release(instance, now)
        for name, _ in TABLES.values():
            table = getattr(self, name)
            for resource in [r for r in table.values() if r.released_at is not None]:
                if now > resource.released_at + max(REMEMBERED_S, self.durations.lag):
                    del table[resource.id]

    def release(self, instance: Instance, now: float) -> None:
        """An instance is gone: its machine and its disks with it, its EIP free again."""
        instance.released_at = now
        instance.schedule = []
        for disk in self.disks.values():
            if disk.instance_id == instance.id:
                disk.instance_id = ""
                if disk.delete_with_instance:
                    disk.released_at = now
        for eip in self.eips.values():
            if eip.instance_id == instance.id:
                eip.instance_id = ""
        self.hosting.remove(instance.id)

    def resources(self, now: float) -> list[dict[str, Any]]:
        """What exists now, for people: kind, id, name, tags."""
        return [
            {
                "kind": kind,
                "id": resource.name if kind == "key-pair" else resource.id,
                "name": resource.name,
                "tags": resource.tags,
            }
            for kind, (name, _) in TABLES.items()
            if kind != "invocation"
            for resource in getattr(self, name).values()
            if resource.exists(now)
        ]

    def save(self, path: Path) -> None:
        """Write everything to a file, whole or not at all."""
        tables = {name: [asdict(item) for item in getattr(self, name).values()] for name, _ in TABLES.values()}
        content = json.dumps({"serial": self.serial, "tokens": self.tokens, **tables})
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(content, encoding="utf-8")
        os.replace(temporary, path)

    def restore(self, path: Path) -> None:
        """Read what `save` wrote; machines of instances that were on boot again."""
        content = json.loads(path.read_text(encoding="utf-8"))
        self.serial, self.tokens = content["serial"], content["tokens"]
        for name, kind in TABLES.values():
            setattr(self, name, {item["id"]: kind(**item) for item in content[name]})
        for instance in self.instances.values():
            instance.schedule = [(at, state) for at, state in instance.schedule]
            if instance.released_at is None:
                instance.machine_ip, own_ip = self.hosting.create(instance.id)
                instance.private_ip = own_ip or instance.private_ip
                instance.public_ip = instance.public_ip and instance.machine_ip
                if instance.status in ("Starting", "Running"):
                    self.hosting.start(instance, self._public_keys(instance))

    def _public_keys(self, instance: Instance) -> list[str]:
        return [
            key.public_key
            for key in self.key_pairs.values()
            if key.name == instance.key_pair and key.region == instance.region and key.released_at is None
        ]

    def _reclaim(self, instance: Instance, now: float) -> None:
        if instance.reclaim_due is None or now < instance.reclaim_due:
            return
        instance.reclaim_due = None
        if instance.spot_interruption == "Stop":
            instance.plan(now, (0, "Stopping"), (self.durations.stopping, "Stopped"))
        else:
            self.release(instance, now)
