"""What the groups of actions that EcsCloud is made of share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provisioner.adapters.ecs.api import Api

LONGEST_BATCH = 100
"""How many ids the actions that take several take at most."""


class ActionGroup:
    """Some of the methods of ports.Cloud, over one shared Api."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.region = api.region
        self.endpoint = api.endpoint


def batches(ids: Sequence[str], size: int = LONGEST_BATCH) -> Iterator[list[str]]:
    """The ids, so many at a time."""
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])
