"""What is kept of a deployment between two commands, beside what the cloud itself knows: `state.json`.

One typed model with a format number. `parse` reads every older format, through one pure function for each; a newer one
is refused. Unknown fields of the same format are ignored, since a later version may have added them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from provisioner.errors import StateError
from provisioner.hosts.address import HostAddress
from provisioner.inventory.spec import Provider, Spec
from provisioner.resources import Kind, Price

FORMAT = 2
LOOPBACK = ("127.", "localhost", "[::1]")


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore", validate_assignment=True)


Machines = Literal["process", "booted"]


class Place(_Stored):
    """Where a deployment lives: recorded at its first step, and every later command goes there.

    Attributes:
        provider: the inventory's.
        region: of the cloud; "" without one.
        endpoint: the API's URL, when it is not the service's own.
        machines: for the simulator that this user's commands share, its kind, by which it is found: its port changes.
        account_id: whose resources they are; "" when the version that began the deployment did not record it.
    """

    model_config = ConfigDict(frozen=True)

    provider: Provider
    region: str = ""
    endpoint: str = ""
    machines: Machines | None = None
    account_id: str = ""

    def __str__(self) -> str:
        if not self.region:
            return f"no cloud (provider: {self.provider})"
        words = [f"region {self.region}", f"provider {self.provider}"]
        if self.account_id:
            words.append(f"account {self.account_id}")
        if self.machines:
            words.append(f"this user's own simulator ({self.machines} machines)")
        elif self.endpoint:
            words.append(self.endpoint)
        return ", ".join(words)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the cloud is a simulator here."""
        return self.machines is not None or urlsplit(self.endpoint).netloc.startswith(LOOPBACK)

    def is_same(self, other: Place) -> bool:
        """Whether both are one place, as far as is known."""
        both_known = self.account_id and other.account_id
        return self == (other if both_known else other.model_copy(update={"account_id": self.account_id}))


class Creation(_Stored):
    """A creating call: its ClientToken, and what it made; None while its answer is not known.

    `key` tells those of one kind apart: a VSwitch's zone.
    """

    kind: Kind
    key: str = ""
    token: str
    ids: tuple[str, ...] | None = None


class InstanceChoice(_Stored):
    """What a RunInstances call was decided to ask for, so that the same call can be sent again.

    `asked` is what the inventory asked for, by field (`steps.comparison.asked_for`), to tell a changed one later.
    """

    type: str
    zone: str
    image_id: str
    release_at: datetime | None = None
    asked: Mapping[str, Any] = {}


class GivenImage(_Stored):
    """The container image that a host was given."""

    tag: str
    digest: str


class State(_Stored):
    """One deployment. It is read as a whole and written as a whole (`deployment.store.Store`).

    Attributes:
        run_id: tells this life of the name from others, also in the cloud's tags.
        created_at: when this life began.
        removed_at: when `down` had ended it.
        place: where it lives.
        inventory: the inventory, as JSON.
        public_key: the public half of the deployment's own SSH key.
        vswitch_zones: the zones that VSwitches were made for, each at the place of its subnet.
        creations: the creating calls of which something may exist (`Journal`).
        pending_instances: the request of the RunInstances call that is on its way, or was the last one.
        price: of all instances together.
        hosts: where the instances are.
        host_keys: the address at which each instance's SSH keys were recorded.
        images: the container image that each host was given.
        results: what was measured, in every life; `life` is the run id of its own.
        runs: the highest number given to the runs of each name, in every life.
    """

    format: int = FORMAT
    run_id: str
    created_at: datetime
    removed_at: datetime | None = None
    place: Place
    inventory: dict[str, Any]
    public_key: str | None = None
    vswitch_zones: tuple[str, ...] = ()
    creations: tuple[Creation, ...] = ()
    pending_instances: InstanceChoice | None = None
    price: Price | None = None
    hosts: tuple[HostAddress, ...] = ()
    host_keys: Mapping[str, str] = {}
    images: Mapping[str, GivenImage] = {}
    results: tuple[Mapping[str, Any], ...] = ()
    runs: Mapping[str, int] = {}

    @classmethod
    def begin(cls, spec: Spec, place: Place, at: datetime, *, last: State | None = None) -> State:
        """A new life of a name: of the `last` one what was measured is left, and how its runs were numbered."""
        return cls(
            run_id=secrets.token_hex(4),
            created_at=at,
            place=place,
            inventory=spec.model_dump(mode="json"),
            results=last.results if last else (),
            runs=last.runs if last else {},
        )

    def spec(self) -> tuple[Spec, tuple[str, ...]]:
        """The inventory, at the place that was recorded; and the fields that only another version can read.

        Those are as if they had not been given. Raises StateError when no inventory is left without them.
        """
        spec, unread = _readable(self.inventory)
        if spec.creates_instances:
            cloud = spec.cloud.model_copy(update={"region": self.place.region})
            spec = spec.model_copy(update={"cloud": cloud})
        return spec, unread

    @property
    def measured(self) -> tuple[Mapping[str, Any], ...]:
        """What was measured in this life."""
        return tuple(result for result in self.results if result["life"] == self.run_id)

    @property
    def latest_results(self) -> tuple[Mapping[str, Any], ...]:
        """What was measured in this life, or before there is any, in the last life in which something was."""
        life = self.results[-1]["life"] if self.results else self.run_id
        return tuple(result for result in self.results if result["life"] == life)

    @property
    def unresolved(self) -> list[Creation]:
        """Creating calls that may have gone out without their answer being recorded."""
        return [creation for creation in self.creations if creation.ids is None]

    def made(self, kind: Kind) -> list[str]:
        """What was made of a kind and is not known to be gone."""
        return [id_ for creation in self.creations if creation.kind == kind for id_ in creation.ids or ()]

    def written(self) -> bytes:
        """It as `parse` reads it."""
        return self.model_dump_json(indent=1).encode()


def parse(content: bytes, source: str) -> State:
    """Read a state of this format or an older one; `source` names it in messages. Raises StateError."""
    try:
        document = from_json(content)
    except ValueError as error:
        raise _damaged(source, str(error)) from error
    version = document.get("format") if isinstance(document, dict) else None
    if type(version) is not int or version < 1:
        raise _damaged(source, "it is JSON, but not a deployment's state")
    if version > FORMAT:
        raise StateError(
            f"{source} was written by a newer provisioner (format {version}, this one reads up to {FORMAT})",
            "update this one",
        )
    try:
        while document["format"] < FORMAT:
            document = UPGRADES[document["format"]](document)
        return State.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _damaged(source, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(source, "it is JSON, but not a deployment's state") from error


def _damaged(source: str, what: str) -> StateError:
    return StateError(
        f"{source} is damaged: {what}",
        "`provisioner sweep --region REGION` removes by tag what it made; then delete its folder",
    )


def _readable(inventory: Mapping[str, Any]) -> tuple[Spec, tuple[str, ...]]:
    document = deepcopy(dict(inventory))
    unread: list[str] = []
    while True:
        try:
            return Spec.model_validate(document), tuple(unread)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        place = _take_out(document, first["loc"])
        if not place:
            raise StateError(
                f"its inventory was written by another version of provisioner: {first['msg']}",
                "use the version that made it",
            )
        unread.append(place)


def _take_out(document: Any, location: Sequence[int | str]) -> str:
    """Delete the deepest part of the document on the way to a location, and say which; "" for none.

    pydantic also names the branch of a union, and a field that is missing: those are not in the document.
    """
    around, key, path = document, None, ""
    for part in location:
        inside = around if key is None else around[key]
        if part in inside if isinstance(inside, dict) else isinstance(inside, list) and part in range(len(inside)):
            around, key, path = inside, part, f"{path}.{part}" if path else str(part)
    if key is not None:
        del around[key]
    return path


def _from_1(document: Mapping[str, Any]) -> dict[str, Any]:
    """Format 1: `values` by name beside `intents`, None or nothing for what was not there yet."""
    values = {name: value for name, value in document["values"].items() if value is not None}
    images = {name.partition(":")[2]: values.pop(name) for name in list(values) if name.startswith("image:")}
    results = [{"life": values["run_id"], **result} for result in values.pop("results", [])]
    inventory = values["inventory"]
    place = {"provider": inventory["provider"]}
    if place["provider"] in ("alibaba", "simulator"):
        place |= {"region": inventory["cloud"]["region"], "endpoint": values.pop("endpoint", "")}
    return {
        **values,
        "format": 2,
        "place": place,
        "creations": _creations_of_1(document["intents"], values.get("made", {})),
        "images": images,
        "results": results,
    }


def _creations_of_1(intents: Mapping[str, Any], made: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """`intents` by their step's name, with what they made once; `made` by kind, with what of it was still there."""
    creations, known_ids = [], set()
    for step, intent in intents.items():
        name, _, key = step.partition("/")
        kind = "instance" if name == "instances" else name
        ids = None if intent["ids"] is None else [id_ for id_ in intent["ids"] if id_ in made.get(kind, [])]
        known_ids |= set(ids or ())
        if ids != []:
            creations.append({"kind": kind, "key": key, "token": intent["token"], "ids": ids})
    others = {kind: [id_ for id_ in ids if id_ not in known_ids] for kind, ids in made.items()}
    return creations + [{"kind": kind, "token": "", "ids": ids} for kind, ids in others.items() if ids]


UPGRADES: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1}
"""From each older format to the next."""
