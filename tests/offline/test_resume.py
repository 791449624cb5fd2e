"""`up` killed while it creates things, by SIGKILL: the same `up` again ends with one of each.

The real SDK over HTTP to the simulator; each `up` is a process. (Every instant at which something changes is gone
through in tests/steps/test_killed.py, in one process with a cloud in memory.)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from provisioner.operations import places
from tests.support.site import ONE_OF_EACH, Site

CREATING = {
    "vpc": "CreateVpc",
    "vswitch": "CreateVSwitch",
    "security-group": "CreateSecurityGroup",
    "key-pair": "ImportKeyPair",
    "instance": "RunInstances",
}
STEPS = {kind: "instances" if kind == "instance" else kind for kind in CREATING}


def killed_while_waiting(site: Site, kind: str) -> None:
    """The cloud has made it, the answer never arrives."""
    site.faults({"action": CREATING[kind], "kind": "slow", "delay_s": 600})
    process = site.partial(site.inventory(), 2)
    site.until(lambda: site.kinds()[kind], process)
    site.kill(process)
    site.faults()


def killed_after_the_record(site: Site, kind: str) -> None:
    """The answer has arrived and its id is on the disk."""
    process = site.partial(site.inventory(), 2, "--die-after", STEPS[kind])
    code, _, err = site.end(process)
    assert code == -signal.SIGKILL, err
    assert site.kinds()[kind] == 1


@pytest.mark.parametrize("kind", CREATING)
def test_killed_before_the_answer_up_again_makes_none_twice(site: Site, kind: str) -> None:
    killed_while_waiting(site, kind)
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH


@pytest.mark.parametrize("kind", CREATING)
def test_killed_after_the_record_up_again_makes_none_twice(site: Site, kind: str) -> None:
    killed_after_the_record(site, kind)
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH


def test_what_was_made_shows_late_and_is_made_once(site: Site) -> None:
    """The cloud's lists lag behind; killed and started again meanwhile."""
    killed_after_the_record(site, "instance")
    site.faults({"action": "Describe*", "kind": "stale", "delay_s": 3, "times": None})
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH


def test_a_second_up_creates_nothing(site: Site) -> None:
    first = site.up(site.inventory())
    assert first["changed"] == 6
    before = len(site.actions())
    assert site.up(site.inventory()) == {"changed": 0, "present": 6}
    assert {action for action in site.actions()[before:] if not action.startswith(("Describe", "Get"))} == set()


def test_a_changed_inventory_is_not_told_to_be_there_already(site: Site) -> None:
    """Release time, protection and bandwidth are changed in place; fewer instances are not made by removing some."""
    site.up(site.inventory(cloud=", count: 2, internet_bandwidth_mbps: 10"))
    before = len(site.actions())
    wanted = ", count: 2, internet_bandwidth_mbps: 20, deletion_protection: true"
    inventory = site.inventory(cloud=wanted)
    inventory.write_text(inventory.read_text().replace("auto_release_hours: 1,", "auto_release_hours: 24,"))
    assert site.up(inventory)["changed"] == 1
    assert [action for action in site.actions()[before:] if action.startswith("Modify")] == [
        "ModifyInstanceAttribute",
        "ModifyInstanceAttribute",
        "ModifyInstanceNetworkSpec",
        "ModifyInstanceNetworkSpec",
        "ModifyInstanceAutoReleaseTime",
        "ModifyInstanceAutoReleaseTime",
    ]
    status = site.run("status", "demo", "--json").json
    assert 23 * 3600 < status["release_in_s"] <= 24 * 3600 + 60
    assert site.up(inventory)["changed"] == 0

    inventory.write_text(inventory.read_text().replace("count: 2", "count: 1"))
    done = site.run("up", inventory, "--yes")
    assert done.code == 1
    assert "1 more than the 1 that the inventory asks for: demo-002 (i-" in done.err
    assert site.kinds()["instance"] == 2
    assert site.run("down", "demo", "--yes").code == 0
    assert site.kinds() == {}


def test_changed_tags_and_names_are_changed_in_place(site: Site) -> None:
    """On all that was made; a name that somebody gave an instance since is taken back."""
    site.up(site.inventory(cloud=", tags: {team: a, old: o}"))
    (instance,) = [each for each in site.simulator.resources if each["kind"] == "instance"]
    with patch.dict(os.environ, PROVISIONER_ENDPOINT=site.simulator.endpoint):
        places.of_region("cn-hangzhou", lambda text: None).set_name(instance["id"], "mine")
    inventory = site.inventory(cloud=", tags: {team: b}")
    assert site.up(inventory)["changed"] == 1
    for resource in site.simulator.resources:
        own = {"provisioner:name", "provisioner:run"}
        assert {key: value for key, value in resource["tags"].items() if key not in own} == {"team": "b"}, resource
    assert [each["name"] for each in site.simulator.resources if each["kind"] == "instance"] == ["demo-001"]
    assert site.up(inventory)["changed"] == 0


def test_every_creating_call_carries_tags_and_those_with_a_token_carry_that(site: Site) -> None:
    site.up(site.inventory())
    for call in site.simulator.calls:
        if call["action"] in CREATING.values():
            assert call["params"]["Tag.1.Key"] == "provisioner:name"
            assert call["params"]["Tag.2.Key"] == "provisioner:run"
            assert call["action"] == "ImportKeyPair" or call["params"]["ClientToken"]


@pytest.mark.parametrize("kind", ["lost-before", "lost-after"])
def test_lost_answers_are_survived(site: Site, kind: str) -> None:
    """Every creating call gets no answer the first time, made or not."""
    site.faults(*({"action": action, "kind": kind, "times": 1} for action in CREATING.values()))
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH


def test_a_storm_of_throttling_is_survived(site: Site) -> None:
    site.faults(*({"kind": "throttle", "times": 2, "after": after, "retry_after_ms": 50} for after in range(0, 30, 6)))
    site.up(site.inventory())
    assert site.kinds() == ONE_OF_EACH


def test_without_stock_in_the_first_zone_the_next_is_taken(site: Site) -> None:
    """What was in stock may be gone when it is asked for. Each candidate has a ClientToken of its own."""
    zones = ["cn-hangzhou-i", "cn-hangzhou-j"]
    site.faults({"action": "RunInstances", "kind": "error", "code": "OperationDenied.NoStock", "status": 403})
    site.up(site.inventory(cloud=f", zones: [{', '.join(zones)}]"))
    runs = [call for call in site.simulator.calls if call["action"] == "RunInstances"]
    tried = [(call["params"]["InstanceType"], call["params"]["ZoneId"]) for call in runs]
    assert tried == [("ecs.hfc7.large", zones[0]), ("ecs.hfc7.large", zones[1])]
    assert len({call["params"]["ClientToken"] for call in runs}) == 2
    assert site.kinds() == {**ONE_OF_EACH, "vswitch": 2}
    assert site.run("down", "demo", "--yes").code == 0
    assert site.kinds() == {}


def test_a_zone_that_shows_no_stock_is_not_tried_while_another_has_some(site: Site) -> None:
    zones = ["cn-hangzhou-i", "cn-hangzhou-j"]
    site.faults({"kind": "no-stock", "zone": zones[0]})
    site.up(site.inventory(cloud=f", zones: [{', '.join(zones)}]"))
    (run,) = [call for call in site.simulator.calls if call["action"] == "RunInstances"]
    assert run["params"]["ZoneId"] == zones[1]
    assert site.kinds() == ONE_OF_EACH


def test_without_stock_anywhere_nothing_is_left_running(site: Site) -> None:
    site.faults({"kind": "no-stock"})
    done = site.run("up", site.inventory(), "--yes")
    assert done.code == 1
    assert "candidates can be had" in done.err
    assert "ecs.hfc7.large" in done.err
    assert site.kinds()["instance"] == 0


REFUSALS = {
    # the account may not buy so large a type: no zone mends that, so that of each type one zone is tried
    "a limit of the account": (
        "InvalidInstanceType.ValueNotSupported",
        400,
        "The specified instanceType exceeds the maximum limit for the POSTPaid instances.",
        2,
        "quotas.console.aliyun.com",
    ),
    "a held account": ("InvalidAccountStatus.SecurityRisk", 403, "Your account has security risks.", 1, "verify"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_no_zone_mends_is_not_tried_in_all_of_them(site: Site, refusal: str) -> None:
    code, status, message, calls, said = REFUSALS[refusal]
    fault = {"action": "RunInstances", "kind": "error", "times": None}
    site.faults({**fault, "code": code, "status": status, "message": message})
    done = site.run("up", site.inventory(), "--yes")
    assert done.code == 1
    assert message.rstrip(".") in done.err
    assert said in done.err
    assert site.actions().count("RunInstances") == calls


@pytest.mark.parametrize(
    "fault",
    [
        {
            "action": "RunInstances",
            "code": "OperationDenied",
            "status": 403,
            "message": "The resource is out of usage",
        },
        {"action": "RunInstances", "code": "Zone.NotOnSale", "status": 403},
        {"action": "DescribePrice", "code": "PriceNotFound", "status": 400},
        {"action": "CreateVSwitch", "code": "ResourceNotAvailable", "status": 400},
    ],
    ids=lambda fault: f"{fault['action']} {fault['code']}",
)
def test_a_zone_that_is_refused_leads_to_the_next(site: Site, fault: dict[str, Any]) -> None:
    """Whichever call says so."""
    site.faults({"kind": "error", "times": 1, **fault})
    site.up(site.inventory())
    assert site.kinds()["instance"] == 1


def test_zones_that_are_closed_to_what_is_new_are_not_tried(site: Site) -> None:
    site.faults({"kind": "no-stock"})
    assert site.run("up", site.inventory(), "--yes").code == 1
    tried = {call["params"]["ZoneId"] for call in site.simulator.calls if call["action"] == "CreateVSwitch"}
    assert "cn-hangzhou-i" in tried
    assert "cn-hangzhou-g" not in tried


def test_a_hundred_instances_are_one_call(make_site: Callable[..., Site]) -> None:
    many = make_site(machines="none")
    many.up(many.inventory(cloud=", count: 100"), phases=1)
    before = len(many.actions())
    process = many.partial(many.inventory(cloud=", count: 100"), 2)
    many.until(lambda: many.kinds()["instance"] == 100, process)
    assert many.actions()[before:].count("RunInstances") == 1
    many.kill(process)
