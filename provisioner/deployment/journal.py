"""What a deployment creates in the cloud, written down so that a kill at any instant costs nothing.

Before a creating call goes out, its ClientToken is on the disk; after its answer, the ids are. A run that finds a token
without ids sends the same call with the same token, and gets what the first call made. What was made is looked for
until the cloud's lists, which lag behind, show it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

from provisioner.deployment.state import Creation
from provisioner.deployment.store import Store
from provisioner.errors import CloudRefusedError, NoCapacityError
from provisioner.ports import Clock
from provisioner.resources import Instance, Kind, Resource
from provisioner.step import Observed

Listed = TypeVar("Listed", Resource, Instance)

LAG_S = 15.0
"""How long something is looked for that was made, before it is believed to be gone or never to have been."""


class Journal:
    """The creations of one deployment, in its state. `progress` is told what is being looked for."""

    def __init__(self, store: Store, clock: Clock, progress: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._progress = progress

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
        deadline = self._clock.monotonic() + LAG_S
        while True:
            resources = look()
            missing = set(self.made(kind)) - {resource.id for resource in resources}
            if not missing or self._clock.monotonic() >= deadline:
                return resources
            self._progress(f"looking for {', '.join(sorted(missing))}")
            self._clock.sleep(1.0)

    def observe(self, observed: Observed) -> None:
        """Keep what a check saw: it answers what was not answered, and what was made and is not there is gone."""
        before = self._store.state
        creations = tuple(seen for creation in before.creations if (seen := _seen(creation, observed)))
        hosts = before.hosts if observed.hosts is None else observed.hosts
        if (creations, hosts) != (before.creations, before.hosts):
            with self._store.changing() as state:
                state.creations, state.hosts = creations, hosts

    def deleted(self, kind: Kind) -> None:
        """All that was made of a kind is gone."""
        with self._store.changing() as state:
            state.creations = tuple(each for each in state.creations if each.kind != kind or each.ids is None)

    def await_lost_replies(self, look: Callable[[Kind], list[Resource]]) -> None:
        """A creating call whose answer is not known may have made what does not show yet: look for a while."""
        deadline = self._clock.monotonic() + LAG_S
        for creation in self._store.state.unresolved:
            known = set(self.made(creation.kind))
            while not {resource.id for resource in look(creation.kind)} - known and self._clock.monotonic() < deadline:
                self._progress(f"looking for a {creation.kind} whose creation was not answered")
                self._clock.sleep(1.0)

    def _token(self, kind: Kind, key: str) -> str:
        """On the disk before it is used; the same one as long as its call is not answered."""
        known = self._open(kind, key)
        if known:
            return known.token
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
