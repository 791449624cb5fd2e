"""What exists and what it costs, from what is kept alone."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from provisioner.deployment.state import Creation, Place, State
from provisioner.operations.up import what_exists
from provisioner.resources import Price
from tests.support.deployments import spec, static_spec

END = "`provisioner down demo` removes everything"
VPC = Creation(kind="vpc", token="t", ids=("vpc-1",))
SENT = Creation(kind="instance", token="t")
ONE = Creation(kind="instance", token="t", ids=("i-1",))
TWO = Creation(kind="instance", token="t", ids=("i-1", "i-2"))


@pytest.mark.parametrize(
    ("creations", "price", "sentence"),
    [
        ((), None, f"no instance of demo exists, and its network costs nothing; {END}"),
        ((VPC,), Price(2.5, "CNY"), f"no instance of demo exists, and its network costs nothing; {END}"),
        ((VPC, SENT), None, f"2 instances of demo may exist; {END}"),
        ((VPC, SENT), Price(2.5, "CNY"), f"2 instances of demo may exist, 2.5 CNY an hour; {END}"),
        ((VPC, ONE), Price(2.5, "CNY"), f"1 instance of demo exists, 2.5 CNY an hour; {END}"),
        ((VPC, TWO), Price(5, "CNY"), f"2 instances of demo exist, 5 CNY an hour; {END}"),
        ((TWO, SENT), None, f"2 instances of demo exist; {END}"),
    ],
)
def test_it_is_one_sentence(creations: tuple[Creation, ...], price: Price | None, sentence: str) -> None:
    inventory = spec(cloud={"count": 2})
    state = State.begin(inventory, Place(provider="simulator"), datetime.now(timezone.utc))
    state.creations, state.price = creations, price
    assert what_exists(inventory, state) == sentence


def test_hosts_that_are_not_ours_cost_nothing_of_ours() -> None:
    inventory = static_spec("a")
    state = State.begin(inventory, Place(provider="static"), datetime.now(timezone.utc))
    assert what_exists(inventory, state) == f"demo may still be running on its hosts; {END}"
