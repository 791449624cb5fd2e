"""The service's refusals: an account's limit ends the search, lack of stock leads to the next zone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.errors import ProvisionerError
from tests.support.site import Site

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/request/refusals.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['fault']['code']} {case['fault']['message']}")
def test_a_refusal_is_of_the_account_or_of_the_zone(site: Site, case: dict[str, Any]) -> None:
    site.faults({"action": "RunInstances", "kind": "error", "times": None, **case["fault"]})
    inventory = site.inventory()
    inventory.write_text(inventory.read_text().replace("ecs.hfc7.large, ecs.hfg7.large", "ecs.hfc7.24xlarge"))
    said = ""
    try:
        site.up(inventory)
    except ProvisionerError as error:
        said = "\n".join([str(error), *(str(each) for _, each in getattr(error, "failures", ()))])
    assert bool(said) == bool(case["says"])
    assert [words for words in case["says"] if words not in said] == [], said
    if case["says"]:
        assert said.count(case["fault"]["message"].rstrip(".")) == 1
    assert [call["action"] for call in site.simulator.calls].count("RunInstances") == case["asked"]
