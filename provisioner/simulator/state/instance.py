"""An instance: what it is, and how its state moves in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioner.simulator.state.resource import Resource

STATES = ("Pending", "Starting", "Running", "Stopping", "Stopped")


@dataclass
class Instance(Resource):
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
