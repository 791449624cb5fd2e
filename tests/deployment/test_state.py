"""What is kept of a deployment: read whole, from every format that was ever written, or refused in a sentence."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from provisioner.deployment.state import FORMAT, UPGRADES, Creation, Place, State, parse
from provisioner.errors import StateError
from provisioner.hosts.address import HostAddress
from provisioner.inventory.spec import Spec
from provisioner.resources import Price

FORMAT_1 = Path(__file__).parents[1] / "data/state/format-1.json"
"""As `up` of a simulated deployment left it, before and after `down`."""

FORMAT_1_REMOVED = FORMAT_1.with_name("format-1-removed.json")
PLACE = Place(provider="simulator", region="cn-hangzhou", machines="process", account_id="1")
NOT_A_STATE = "it is JSON, but not a deployment's state"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def begun() -> State:
    return State.begin(Spec(name="demo", provider="simulator"), PLACE, AT)


def test_what_is_written_is_read() -> None:
    state = begun()
    state.hosts = (HostAddress("demo-001", "192.0.2.1", "10.0.0.1", instance_id="i-1"),)
    state.price = Price(2.5, "CNY")
    state.creations = (Creation(kind="vpc", token="t", ids=("vpc-1",)), Creation(kind="vswitch", key="z", token="u"))
    state.results = ({"life": state.run_id, "key": "k", "final_loss": None},)
    assert parse(state.written(), "state.json") == state


def test_a_life_begins_with_the_inventory_and_an_id_of_its_own() -> None:
    first, second = begun(), begun()
    assert (first.format, first.created_at, first.inventory["name"]) == (FORMAT, AT, "demo")
    assert first.run_id != second.run_id
    assert first.removed_at is None


def test_measurements_and_how_runs_are_numbered_outlive_a_life() -> None:
    last = begun()
    last.results = ({"life": last.run_id, "key": "k"},)
    last.runs = {"train-float32": 3}
    last.price = Price(2.5, "CNY")
    new = State.begin(Spec(name="demo", provider="local"), Place(provider="local"), AT, last=last)
    assert (new.results, new.runs, new.price) == (last.results, last.runs, None)
    assert (new.measured, new.latest_results) == ((), last.results), "of this life nothing is measured"
    new.results = (*new.results, {"life": new.run_id, "key": "k"})
    assert new.measured == new.latest_results == new.results[1:]


# ------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "alibaba"},
        {"region": "cn-beijing"},
        {"account_id": "2"},
        {"machines": "booted"},
        {"machines": None, "endpoint": "http://127.0.0.1:1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_places_that_differ_in_anything_are_two(change: dict[str, str]) -> None:
    other = Place(**{**PLACE.model_dump(), **change})
    assert PLACE.is_same(Place(**PLACE.model_dump()))
    assert not PLACE.is_same(other)
    assert str(PLACE) != str(other)


# ------------------------------------------------------------------------------------------------- older formats


def test_every_older_format_has_its_upgrade() -> None:
    assert sorted(UPGRADES) == list(range(1, FORMAT))


def test_a_deployment_of_format_1_goes_on() -> None:
    values = json.loads(FORMAT_1.read_text())["values"]
    state = parse(FORMAT_1.read_bytes(), "state.json")
    assert (state.format, state.run_id, state.removed_at) == (FORMAT, values["run_id"], None)
    assert state.created_at == datetime.fromisoformat(values["created_at"])
    assert Spec.model_validate(state.inventory).cloud.instance_types == ("ecs.hfc7.large",)
    assert state.place == Place(provider="simulator", region="cn-hangzhou", endpoint=values["endpoint"])
    assert state.hosts == (HostAddress(**values["hosts"][0]),)
    assert state.price == Price(**values["price"])
    assert {kind: state.made(kind) for kind in values["made"]} == values["made"]
    assert state.unresolved == []
    assert state.runs == {"train-float32": 1}
    (result,) = state.measured
    assert result["images_per_second"] == values["results"][0]["images_per_second"]
    assert parse(state.written(), "state.json") == state


def test_a_removed_deployment_of_format_1_is_removed() -> None:
    state = parse(FORMAT_1_REMOVED.read_bytes(), "state.json")
    assert state.removed_at is not None
    assert state.hosts == ()
    assert len(state.measured) == 1


def test_where_a_deployment_of_format_1_lives_is_known_but_for_the_account() -> None:
    """It is taken to be the one that the first command finds there, and recorded by the next `up`."""
    document = json.loads(FORMAT_1.read_text())
    document["values"]["inventory"]["provider"] = "alibaba"
    document["values"]["endpoint"] = None
    place = parse(json.dumps(document).encode(), "state.json").place
    assert place == Place(provider="alibaba", region="cn-hangzhou")
    assert place.is_same(Place(provider="alibaba", region="cn-hangzhou", account_id="1"))
    assert not place.is_same(Place(provider="alibaba", region="cn-beijing", account_id="1"))


def test_what_format_1_knew_of_calls_and_images() -> None:
    document = json.loads(FORMAT_1.read_text())
    document["intents"]["vswitch/z"] = {"token": "t", "ids": None}
    document["intents"]["vpc"]["ids"] = ["vpc-gone"]
    document["values"]["image:old-001"] = {"tag": "x/y:1", "digest": "sha256:1"}
    document["values"]["image:old-002"] = None
    state = parse(json.dumps(document).encode(), "state.json")
    assert state.unresolved == [Creation(kind="vswitch", key="z", token="t")]
    assert state.made("vpc") == document["values"]["made"]["vpc"]
    assert {host: image.tag for host, image in state.images.items()} == {"old-001": "x/y:1"}


# ------------------------------------------------------------------------------------------------- other versions


def test_a_field_that_a_later_version_added_is_ignored() -> None:
    document = {**json.loads(begun().written()), "mood": "good"}
    assert parse(json.dumps(document).encode(), "state.json").run_id == document["run_id"]


@pytest.mark.parametrize(
    ("change", "unread"),
    [
        ({}, ()),
        ({"mood": "good"}, ("mood",)),
        ({"workload": {"precision": 8, "steps": 7}}, ("workload.precision",)),
        ({"workload": {"steps": "many", "model": "resnet999"}}, ("workload.model", "workload.steps")),
        ({"cloud": {"region": "cn-hangzhou", "zones": 7, "nodes": 3}}, ("cloud.zones", "cloud.nodes")),
        ({"hosts": [{"name": "a", "address": "192.0.2.1", "rack": 4}, {"name": "b"}]}, ("hosts.0.rack", "hosts.1")),
        ({"runtime": "vm"}, ("runtime",)),
        ({"spark": 3}, ("spark",)),
        ({"image": {"build": "zoo-3000"}}, ("image.build", "image")),
    ],
    ids=str,
)
def test_fields_of_another_versions_inventory_are_as_if_not_given(change: dict[str, Any], unread: Any) -> None:
    state = begun()
    state.inventory = {"name": "demo", "provider": "simulator", **change}
    spec, said = state.spec()
    assert sorted(said) == sorted(unread)
    assert (spec.name, spec.provider) == ("demo", "simulator")


def test_the_recorded_place_counts_and_not_the_inventory() -> None:
    state = begun()
    state.inventory = {"name": "demo", "provider": "simulator", "cloud": {"region": "Other Region!"}}
    assert state.spec()[0].cloud.region == PLACE.region


def test_an_inventory_without_a_name_is_told_in_a_sentence() -> None:
    state = begun()
    state.inventory = {"provider": "simulator"}
    with pytest.raises(StateError, match="written by another version of provisioner"):
        state.spec()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "s.json is damaged: EOF while parsing"),
        ("", "s.json is damaged: EOF while parsing"),
        ("\udcff", "s.json is damaged"),
        ("[]", NOT_A_STATE),
        ('{"format": true}', NOT_A_STATE),
        ('{"format": 0}', NOT_A_STATE),
        ('{"format": 1, "values": [], "intents": {}}', NOT_A_STATE),
        (
            '{"format": 1, "values": {"run_id": "r"}, "intents": {"vpc": "t"}}',
            NOT_A_STATE,
        ),
        ('{"format": 1, "values": {"run_id": "r"}, "intents": {}}', NOT_A_STATE),
        ('{"format": 2, "run_id": 7}', "s.json is damaged: run_id"),
        (f'{{"format": {FORMAT + 1}}}', rf"s.json was written by a newer provisioner \(format {FORMAT + 1}, "),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(content: str, message: str) -> None:
    with pytest.raises(StateError, match=message):
        parse(content.encode("utf-8", "surrogateescape"), "s.json")
