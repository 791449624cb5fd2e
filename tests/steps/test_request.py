"""The order of candidates, and what is said when none can be had: pure functions, their cases in a data file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.errors import NoCapacityError, TypeRefusedError
from provisioner.steps.request import Candidate, candidates, first_that_can_be_had, release_time
from tests.support.deployments import spec

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/request/candidates.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_the_order_of_candidates(case: dict[str, Any]) -> None:
    given = spec()
    network = {"vswitch_id": case["vswitch"], "vpc_id": "vpc-1"} if "vswitch" in case else {}
    zones = case["zones"] if case["zones"] == "auto" else tuple(case["zones"])
    cloud = given.cloud.model_copy(update={"instance_types": tuple(case["types"]), "zones": zones, **network})
    found = candidates(given.model_copy(update={"cloud": cloud}), case["stock"], case["open"])
    assert found == [Candidate(*pair.split()) for pair in case["pairs"]]


@pytest.mark.parametrize(
    ("now", "hours", "expected"),
    [
        ("2026-11-25T10:00:00", 6, "2026-11-25T16:00:00"),
        ("2026-11-25T10:00:01", 6, "2026-11-25T16:01:00"),  # the service rounds down to the minute
        ("2026-11-25T10:00:00.5", 1.5, "2026-11-25T11:31:00"),
        ("2026-11-25T10:00:00", 0.5, "2026-11-25T10:35:00"),  # the least that it takes, and the time of the call
        ("2026-11-25T10:00:59", 0.5, "2026-11-25T10:36:00"),
        ("2026-11-25T10:00:00", None, None),
    ],
)
def test_the_release_time(now: str, hours: float | None, expected: str | None) -> None:
    at = release_time(datetime.fromisoformat(f"{now}+00:00"), hours)
    assert at == (datetime.fromisoformat(f"{expected}+00:00") if expected else None)


def refusing(*errors: NoCapacityError) -> NoCapacityError:
    """What is raised when candidate after candidate is refused like this."""
    left = list(errors)

    def ask(candidate: Candidate) -> None:
        raise left.pop(0)

    with pytest.raises(NoCapacityError) as caught:
        first_that_can_be_had([Candidate(f"type-{number}", "zone") for number in range(len(errors))], ask)
    return caught.value


def test_each_refusal_is_told_once_with_what_it_asks_for() -> None:
    error = refusing(
        NoCapacityError("no stock in i", "name further types"),
        NoCapacityError("no stock in j", "name further types"),
        TypeRefusedError("the image does not fit", "choose another image"),
    )
    assert error.message == "none of the 3 candidates can be had (no stock in i; no stock in j; the image does not fit)"
    assert error.remedy == "name further types; or choose another image"


def test_the_same_reason_from_six_zones_is_told_once() -> None:
    zones = [f"r-{letter}" for letter in "bghijk"]
    told: list[str] = []

    def ask(candidate: Candidate) -> None:
        raise NoCapacityError(f"RunInstances ({candidate.zone}) was refused, sold out", "later", reason="sold out")

    with pytest.raises(NoCapacityError) as caught:
        first_that_can_be_had([Candidate("a", zone) for zone in zones] + [Candidate("b", "r-b")], ask, told.append)
    assert caught.value.message == (
        "none of the 7 candidates can be had (sold out, for a in r-b, r-g, r-h, r-i, r-j, r-k and b in r-b)"
    )
    assert caught.value.remedy == "later"
    assert told[:2] == ["RunInstances (r-b) was refused, sold out", "the same for a in r-g"]


def test_one_refusal_speaks_for_itself() -> None:
    assert str(refusing(NoCapacityError("too large for the account", "ask for more"))) == (
        "too large for the account: ask for more"
    )
