"""What a deployment creates in the cloud, written down so that a kill at any instant costs nothing.

Before a creating call goes out, its ClientToken is on the disk; after its answer, the ids are. A run that finds a token
without ids sends the same call with the same token, and gets what the first call made. What was made is looked for
until the cloud's lists, which lag behind, show it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

from provisioner.deployment.state import Creation, InstanceChoice
from provisioner.deployment.store import Store
from provisioner.errors import CloudRefusedError, NoCapacityError
from provisioner.hosts.address import HostAddress
from provisioner.ports import Clock
from provisioner.resources import Instance, Kind, Price, Resource
from provisioner.step import Observed
from provisioner.waiting import wait_until

Listed = TypeVar("Listed", Resource, Instance)

LAG_S = 15.0
"""How long something is looked for that was made, before it is believed to be gone or never to have been."""


class Journal:
    """The creations of one deployment, in its state, and the decisions behind them.

    Attributes:
        removed: what was deleted, in this process.
    """

    def __init__(self, store: Store, clock: Clock, progress: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._progress = progress
        self.removed: list[Resource] = []

    def create(self, kind: Kind, key: str, call: Callable[[str], Sequence[str]]) -> list[str]:
        """Make something once, however often this is begun: the ids that `call` gives for its ClientToken.

        `key` tells creations of one kind apart (a VSwitch's zone). NoCapacityError and CloudRefusedError say that the
        call made nothing: the next one gets a new token. After anything else that is raised the answer counts as not
        known, and the next call gets the same token.
        """
        token = self._token(kind, key)
        try:
            ids = list(call(token))
        except (NoCapacityError, CloudRefusedError):
            self.abandon(kind, key)
            raise
        with self._store.changing() as state:
            open_one = Creation(kind=kind, key=key, token=token)
            state.creations = tuple(_answered(each, ids) if each == open_one else each for each in state.creations)
        return ids

    def abandon(self, kind: Kind, key: str = "") -> None:
        """A call whose answer is not known made nothing for certain: the next one gets a new token."""
        open_one = self._open(kind, key)
        if open_one:
            with self._store.changing() as state:
                state.creations = tuple(creation for creation in state.creations if creation != open_one)

    def made(self, kind: Kind) -> list[str]:
        """What was made and is not known to be gone."""
        return self._store.state.made(kind)

    def listed(self, kind: Kind, look: Callable[[], list[Listed]]) -> list[Listed]:
        """What a look gives, once all that was made of a kind is in it; after a while the rest is taken to be gone."""

        def missing(resources: list[Listed]) -> list[str]:
            return sorted(set(self.made(kind)) - {resource.id for resource in resources})

        return wait_until(
            self._clock,
            look,
            lambda resources: not missing(resources),
            deadline_s=LAG_S,
            pause_s=1.0,
            longest_pause_s=1.0,
            meanwhile=lambda resources: self._progress(f"looking for {', '.join(missing(resources))}"),
        )

    def observe(self, observed: Observed) -> None:
        """Keep what a check saw: it answers what was not answered, and what was made and is not there is gone."""
        before = self._store.state
        creations = tuple(seen for creation in before.creations if (seen := _seen(creation, observed)))
        hosts = before.hosts if observed.hosts is None else observed.hosts
        if (creations, hosts) != (before.creations, before.hosts):
            with self._store.changing() as state:
                state.creations, state.hosts = creations, hosts

    def deleted(self, kind: Kind, resources: Sequence[Resource]) -> None:
        """All that was made of a kind is gone, by an answer that says so: `resources`."""
        self.removed += resources
        with self._store.changing() as state:
            state.creations = tuple(each for each in state.creations if each.kind != kind or each.ids is None)

    def hosts_are_gone(self) -> None:
        """The instances are at no address any more."""
        with self._store.changing() as state:
            state.hosts = ()

    # ------------------------------------------------------------------------------------------------- decisions

    def subnet_number(self, zone: str) -> int:
        """Which of the VPC's subnets is a zone's: the n-th zone asked for gets the n-th, and keeps it."""
        zones = self._store.state.vswitch_zones
        if zone not in zones:
            zones = (*zones, zone)
            with self._store.changing() as state:
                state.vswitch_zones = zones
        return zones.index(zone)

    @property
    def choice(self) -> InstanceChoice | None:
        """What the last RunInstances call asked for, or is to ask for."""
        return self._store.state.pending_instances

    @property
    def pending_choice(self) -> InstanceChoice | None:
        """What a run asked for that was cut off between the call and its answer: the same token, the same request."""
        return self.choice if any(each.kind == "instance" for each in self._store.state.unresolved) else None

    def choose(self, choice: InstanceChoice) -> None:
        """Write down what a RunInstances call is to ask for."""
        if choice != self.choice:
            with self._store.changing() as state:
                state.pending_instances = choice

    def note_price(self, price: Price) -> None:
        """Keep the price of all instances together."""
        with self._store.changing() as state:
            state.price = price

    @property
    def hosts(self) -> tuple[HostAddress, ...]:
        """Where the instances are; () until all have been seen running in this life."""
        return self._store.state.hosts

    # ------------------------------------------------------------------------------------------------- what is lost

    def await_lost_replies(self, look: Callable[[Kind], list[Resource]]) -> None:
        """A creating call whose answer is not known may have made what does not show yet: look for a while."""
        deadline = self._clock.monotonic() + LAG_S
        for kind in [creation.kind for creation in self._store.state.unresolved]:
            wait_until(
                self._clock,
                lambda kind=kind: {resource.id for resource in look(kind)} - set(self.made(kind)),  # type: ignore[misc]
                bool,
                deadline_s=deadline - self._clock.monotonic(),
                pause_s=1.0,
                longest_pause_s=1.0,
                meanwhile=lambda _, kind=kind: self._progress(  # type: ignore[misc]
                    f"looking for a {kind} whose creation was not answered"
                ),
            )

    def _token(self, kind: Kind, key: str) -> str:
        """On the disk before it is used; the same one as long as its call is not answered."""
        open_one = self._open(kind, key)
        if open_one:
            return open_one.token
        token = uuid.uuid4().hex
        with self._store.changing() as state:
            state.creations = (*state.creations, Creation(kind=kind, key=key, token=token))
        return token

    def _open(self, kind: Kind, key: str) -> Creation | None:
        unresolved = self._store.state.unresolved
        return next((creation for creation in unresolved if (creation.kind, creation.key) == (kind, key)), None)


def _answered(creation: Creation, ids: Sequence[str]) -> Creation:
    return Creation(kind=creation.kind, key=creation.key, token=creation.token, ids=tuple(ids))


def _seen(creation: Creation, observed: Observed) -> Creation | None:
    """A creation after a look at all of its kind; None when nothing of it is left."""
    if creation.kind != observed.kind:
        return creation
    if creation.ids is None:
        ids = observed.ids.get(creation.key)
        return _answered(creation, ids) if ids else creation
    there = {id_ for ids in observed.ids.values() for id_ in ids}
    left = [id_ for id_ in creation.ids if id_ in there]
    return _answered(creation, left) if left else None
