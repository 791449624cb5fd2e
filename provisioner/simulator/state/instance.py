"""An instance: what it is, and how its state moves in time."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioner.simulator.account import Account, Resource
from provisioner.simulator.state.key_pair import KeyPair

STATES = ("Pending", "Starting", "Running", "Stopping", "Stopped")


@dataclass
class Instance(
    Resource,
    kind="instance",
    table="instances",
    not_found="InvalidInstanceId.NotFound",
    quotas={"instances": 200, "vcpus": 20_000},
):
    """An ECS instance. `schedule` holds the coming `[time, state]` changes, in order.

    `fresh` until it ran for the first time: its user data is still to run, and it cannot be released yet.
    `reclaimed_at`: when a spot instance was told that it will be taken away at `reclaim_due`.
    """

    zone: str
    instance_type: str
    image_id: str
    hostname: str
    vpc_id: str
    vswitch_id: str
    security_group_ids: list[str]
    key_pair: str
    private_ip: str
    public_ip: str
    machine_ip: str
    bandwidth_mbps: int
    charge_by: str
    user_data: str
    deletion_protection: bool
    auto_release_at: float | None
    spot_strategy: str
    spot_price_limit: float
    spot_interruption: str
    ram_role: str
    login_user: str
    threads_per_core: int
    cores: int
    description: str = ""
    status: str = "Pending"
    stopped_mode: str = "Not-applicable"
    schedule: list[tuple[float, str]] = field(default_factory=list)
    fresh: bool = True
    started_at: float | None = None
    reclaim_due: float | None = None

    def advance(self, now: float) -> Iterator[str]:
        """Let due changes happen; yields each state as it is entered."""
        while self.schedule and self.schedule[0][0] <= now:
            at, self.status = self.schedule.pop(0)
            if self.status == "Starting":
                self.started_at = at
                self.stopped_mode = "Not-applicable"
            yield self.status
            if self.status == "Running":
                self.fresh = False

    def plan(self, start: float, *changes: tuple[float, str]) -> None:
        """Set what comes: each state after so many seconds more, from `start` on."""
        at = start
        self.schedule = []
        for delay_s, state in changes:
            at += delay_s
            self.schedule.append((at, state))

    def blocks_removal(self, other: Resource) -> str:
        """Its VSwitch, groups and key pair stay."""
        if other.id == self.vswitch_id:
            return "DependencyViolation.Instance"
        if other.id in self.security_group_ids:
            return "DependencyViolation"
        attached = isinstance(other, KeyPair) and other.name == self.key_pair and other.region == self.region
        return "InvalidParameter.KeypairAlreadyAttachedInstance" if attached else ""

    def settle(self, account: Account, now: float) -> None:
        """Let its state move, and release it when its time has come."""
        for state in self.advance(now):
            if state == "Starting":
                self._boot(account)
            elif state == "Stopping":
                account.fleet.stop(self.id)
        self._reclaim(account, now)
        if self.auto_release_at is not None and self.auto_release_at <= now and self.released_at is None:
            self.release(account, now)

    def release(self, account: Account, now: float) -> None:
        """Be gone: its machine and its disks with it, its EIP free again."""
        self.released_at = now
        self.schedule = []
        for resource in account.every():
            resource.instance_released(self.id, now)
        account.fleet.remove(self.id)

    def restored(self, account: Account) -> None:
        """Get a machine again, booted if it was on."""
        self.schedule = [(at, state) for at, state in self.schedule]
        if self.released_at is None:
            self.machine_ip, own_ip = account.fleet.create(self.id)
            self.private_ip = own_ip or self.private_ip
            self.public_ip = self.public_ip and self.machine_ip
            if self.status in ("Starting", "Running"):
                self._boot(account)

    def _boot(self, account: Account) -> None:
        keys = [
            key.public_key
            for key in account.table(KeyPair).values()
            if key.name == self.key_pair and key.region == self.region and key.released_at is None
        ]
        user_data = base64.b64decode(self.user_data).decode("utf-8", "replace") if self.fresh else ""
        account.fleet.start(self.id, user_data, keys, self.hostname, self.login_user)

    def _reclaim(self, account: Account, now: float) -> None:
        if self.reclaim_due is None or now < self.reclaim_due:
            return
        self.reclaim_due = None
        if self.spot_interruption == "Stop":
            self.plan(now, (0, "Stopping"), (account.durations.stopping, "Stopped"))
        else:
            self.release(account, now)
