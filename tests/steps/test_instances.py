"""RunInstances: candidates, tokens, drift and waiting, against a cloud in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from provisioner import steps
from provisioner.errors import (
    CloudRefusedError,
    CloudUnavailableError,
    DeadlineError,
    DriftError,
    NoCapacityError,
    TypeRefusedError,
)
from provisioner.resources import InstanceRequest, Price
from provisioner.step import ABSENT, Presence
from provisioner.steps.instances import RUNNING_DEADLINE_S, InstancesStep
from tests.support.cloud import Killed
from tests.support.deployments import Bench, spec

TYPES = ["ecs.hfc7.xlarge", "ecs.hfg7.xlarge"]
ZONES = ["cn-hangzhou-i", "cn-hangzhou-k"]


def bench(**cloud: Any) -> Bench:
    return Bench(spec(cloud={"instance_types": TYPES, "zones": ZONES, **cloud}))


def step(made: Bench) -> InstancesStep:
    found = [each for _, each in steps.plan(made.session).steps() if isinstance(each, InstancesStep)]
    return found[0]


def up(made: Bench) -> InstancesStep:
    """The network, then the instances."""
    runner = made.cloud_runner()
    runner.up()
    return next(each for _, each in runner.plan.steps() if isinstance(each, InstancesStep))


def requests(made: Bench) -> list[InstanceRequest]:
    return [args[0] for args in made.cloud.called("run_instances")]


def tokens(made: Bench) -> list[str]:
    return [args[2] for args in made.cloud.called("run_instances")]


# ------------------------------------------------------------------------------------------------ one call


@pytest.mark.parametrize("count", [1, 3, 100])
def test_one_call_makes_all_of_them(count: int) -> None:
    made = bench(count=count)
    up(made)
    (request,) = requests(made)
    assert list(request.names) == [f"demo-{number:03d}" for number in range(1, count + 1)]
    assert made.cloud.count()["instance"] == count


def test_the_request_says_what_the_inventory_says() -> None:
    made = bench(
        spot={"price_limit_per_hour": 1.5},
        auto_release_hours=2,
        internet_bandwidth_mbps=7,
        deletion_protection=True,
        ram_role="role",
        user_data="#!/bin/sh\n",
        system_disk={"size_gib": 200},
        image_id="m-123",
    )
    up(made)
    (request,) = requests(made)
    assert request.instance_type == "ecs.hfc7.xlarge"
    assert request.zone == "cn-hangzhou-i"
    assert request.image_id == "m-123"
    assert request.system_disk.size_gib == 200
    assert request.spot is not None
    assert request.spot.price_limit_per_hour == 1.5
    assert (request.auto_release_at - made.clock.now()).total_seconds() == pytest.approx(7200, abs=120)  # type: ignore[operator]
    assert (request.internet_bandwidth_mbps, request.deletion_protection) == (7, True)
    assert (request.ram_role, request.user_data) == ("role", "#!/bin/sh\n")
    ids = {resource.kind: resource.id for resource in made.cloud.resources.values()}
    assert request.vswitch_id == ids["vswitch"]
    assert request.security_group_id == ids["security-group"]
    assert request.key_pair == ids["key-pair"]


def test_no_release_time_when_it_is_switched_off() -> None:
    made = bench(auto_release_hours=None)
    up(made)
    assert requests(made)[0].auto_release_at is None
    (warning,) = step(made).describe().warnings
    assert "auto_release_hours is off" in warning


def test_the_hosts_addresses_are_known_afterwards() -> None:
    made = bench(count=2)
    up(made)
    address = made.session.host("demo-002").address
    assert address.address.startswith("198.51.100.")
    assert address.private.startswith("172.16.0.")
    assert made.cloud.machines[address.instance_id].name == "demo-002"
    assert made.store.state.price == Price(5.0, "CNY")


# ------------------------------------------------------------------------------------------------ candidates


def test_every_zone_of_a_type_before_the_next_type_with_a_new_token_each() -> None:
    made = bench()
    made.cloud.sold_out = {("ecs.hfc7.xlarge", "*"), ("ecs.hfg7.xlarge", "cn-hangzhou-i")}
    up(made)
    tried = [(request.instance_type, request.zone) for request in requests(made)]
    assert tried == [
        ("ecs.hfc7.xlarge", "cn-hangzhou-i"),
        ("ecs.hfc7.xlarge", "cn-hangzhou-k"),
        ("ecs.hfg7.xlarge", "cn-hangzhou-i"),
        ("ecs.hfg7.xlarge", "cn-hangzhou-k"),
    ]
    assert len(set(tokens(made))) == 4
    assert made.cloud.count()["vswitch"] == 2
    assert any("trying the next candidate" in line for line in made.told)


EVERY_PAIR = [(name, zone) for name in TYPES for zone in ZONES]


@pytest.mark.parametrize("method", ["newest_image", "price", "create_vswitch", "run_instances"])
def test_whatever_refuses_a_candidate_the_next_is_tried(method: str) -> None:
    """The image, the price, the VSwitch and the instances themselves: each call may know of a closed zone."""
    made = bench()
    made.cloud.failures[method] = [NoCapacityError("Zone.NotOnSale")]
    up(made)
    (instance,) = made.cloud.machines.values()
    # A VSwitch is made in the first zone that takes one before there is any talk of instances.
    assert (instance.instance_type, instance.zone) == EVERY_PAIR[0 if method == "create_vswitch" else 1]
    assert made.store.state.unresolved == []


def test_a_zone_without_vswitch_is_left_for_the_next_candidate() -> None:
    """The first zone has no stock, the second one takes no VSwitch."""
    made = bench(instance_types=TYPES[:1], zones=[*ZONES, "cn-hangzhou-j"])
    made.cloud.sold_out = {("*", ZONES[0])}
    network = made.cloud_runner()
    for step_ in network.plan.phases[0].steps:
        step_.check()
        step_.apply()
    made.cloud.failures["create_vswitch"] = [NoCapacityError("ResourceNotAvailable")]
    up(made)
    (instance,) = made.cloud.machines.values()
    assert instance.zone == "cn-hangzhou-j"
    assert made.store.state.unresolved == []


@pytest.mark.parametrize("method", ["newest_image", "price", "run_instances"])
def test_a_type_that_is_refused_is_not_tried_in_other_zones(method: str) -> None:
    """An image that does not fit, a type that the account may not buy: no zone mends that."""
    made = bench()
    made.cloud.failures[method] = [TypeRefusedError("InvalidInstanceType.ValueNotSupported")]
    up(made)
    (instance,) = made.cloud.machines.values()
    assert (instance.instance_type, instance.zone) == EVERY_PAIR[2]
    assert TYPES[0] not in [request.instance_type for request in requests(made)[1:]]


def test_a_type_that_is_refused_ends_at_its_first_zone_and_says_what_to_do() -> None:
    made = bench(instance_types=TYPES[:1])
    made.cloud.failures["run_instances"] = [TypeRefusedError("beyond the limit", "ask for more in the Quota Center")]
    with pytest.raises(NoCapacityError, match=r"^beyond the limit: ask for more in the Quota Center$"):
        up(made)
    assert len(requests(made)) == 1
    assert made.cloud.count()["vswitch"] == 1


@pytest.mark.parametrize("method", ["newest_image", "price", "create_vswitch", "run_instances"])
def test_what_no_candidate_mends_ends_up_whichever_call_says_so(method: str) -> None:
    made = bench()
    made.cloud.failures[method] = [CloudRefusedError("Forbidden.RAM")]
    with pytest.raises(CloudRefusedError, match="RAM"):
        up(made)
    assert len(made.cloud.called(method)) == 1
    assert made.store.state.unresolved == []


def test_a_type_in_stock_is_taken_before_one_that_is_not() -> None:
    """Wherever it stands in the inventory."""
    made = bench(zones="auto")
    made.cloud.in_stock = {TYPES[0]: [], TYPES[1]: ["cn-hangzhou-k"]}
    up(made)
    (request,) = requests(made)
    assert (request.instance_type, request.zone) == (TYPES[1], "cn-hangzhou-k")


def test_an_image_is_looked_up_once_for_each_type() -> None:
    made = bench()
    made.cloud.sold_out = {("*", "*")}
    with pytest.raises(NoCapacityError):
        up(made)
    assert [args[1] for args in made.cloud.called("newest_image")] == TYPES


def test_the_instances_vswitch_is_the_one_in_their_zone() -> None:
    made = bench()
    made.cloud.sold_out = {("*", "cn-hangzhou-i")}
    up(made)
    request = requests(made)[-1]
    assert made.cloud.resources[request.vswitch_id].zone == request.zone == "cn-hangzhou-k"


def test_without_any_capacity_all_that_was_tried_is_said() -> None:
    made = bench()
    made.cloud.sold_out = {("*", "*")}
    with pytest.raises(NoCapacityError, match="none of the 4 candidates") as caught:
        up(made)
    for name in (*TYPES, *ZONES):
        assert name in caught.value.message
    assert "zones" in caught.value.remedy
    assert made.cloud.count()["instance"] == 0
    assert made.store.state.unresolved == []


def test_a_refusal_is_not_tried_elsewhere() -> None:
    made = bench()
    made.cloud.failures["run_instances"] = [CloudRefusedError("not enough balance", "top up")]
    with pytest.raises(CloudRefusedError, match="balance"):
        up(made)
    assert len(requests(made)) == 1
    assert made.store.state.unresolved == []


# ------------------------------------------------------------------------------------------------ resuming


def test_after_a_lost_reply_the_very_same_request_goes_out_with_the_same_token() -> None:
    """Although by now it is later, the image is a newer one, and another zone is in stock."""
    made = bench(zones="auto")
    made.cloud.lost["run_instances"] = [CloudUnavailableError("no reply")]
    made.cloud.hidden = 4  # listed only after a while
    with pytest.raises(CloudUnavailableError):
        up(made)
    made.cloud.first_zones = ["cn-hangzhou-k"]
    made.cloud.hidden = 0
    again = made.again()
    again.clock.advance(3600)
    up(again)
    first, second = requests(made)
    assert first == second
    assert len(set(tokens(made))) == 1
    assert made.cloud.count()["instance"] == 1


@pytest.mark.parametrize(("minutes", "same"), [(4, True), (6, False), (600, False)])
def test_a_request_whose_release_time_has_come_too_near_is_made_anew(minutes: int, same: bool) -> None:
    """The service takes half an hour and more; the request allows for five minutes on the way."""
    made = bench(auto_release_hours=0.5)
    made.cloud.failures["run_instances"] = [CloudUnavailableError("no reply")]
    with pytest.raises(CloudUnavailableError):
        up(made)
    again = made.again()
    again.clock.advance(minutes * 60)
    up(again)
    first, second = requests(made)
    assert (first == second) is same
    assert (len(set(tokens(made))) == 1) is same
    assert made.cloud.count()["instance"] == 1
    assert again.store.state.unresolved == []


def test_after_a_refusal_the_next_up_begins_anew() -> None:
    made = bench()
    made.cloud.failures["run_instances"] = [CloudRefusedError("quota")]
    with pytest.raises(CloudRefusedError):
        up(made)
    up(made.again())
    assert len(set(tokens(made))) == 2
    assert made.cloud.count()["instance"] == 1


def test_what_was_made_and_not_recorded_is_found_by_its_tags() -> None:
    made = bench(count=2)
    made.cloud.lost["run_instances"] = [Killed()]
    with pytest.raises(Killed):
        up(made)
    again = made.again()
    up(again)
    assert len(requests(made)) == 1
    assert made.cloud.count()["instance"] == 2
    assert again.store.state.unresolved == []
    assert again.session.host("demo-002").address.address


# ------------------------------------------------------------------------------------------------ looking


def test_absent_until_all_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made = bench(count=2)
    assert step(made).check() == ABSENT
    made.cloud.polls_until_running = 2
    up(made)
    assert step(made).check().presence is Presence.PRESENT
    first = next(iter(made.cloud.machines))
    made.cloud.change(first, public_ip="")
    assert step(made).check().presence is Presence.ABSENT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instance_type": "ecs.g7.large"}, r"instance-\d+ is a ecs\.g7\.large, the inventory asks for ecs\.hfc7"),
        ({"state": "Stopped"}, "stopped: demo-001"),
    ],
    ids=["another type", "stopped"],
)
def test_drift_is_told_and_nothing_changed(change: dict[str, str], message: str) -> None:
    made = bench(count=2)
    up(made)
    first = next(i for i, machine in made.cloud.machines.items() if machine.name == "demo-001")
    made.cloud.change(first, **change)
    calls = len(made.cloud.called("run_instances"))
    with pytest.raises(DriftError, match=message) as caught:
        up(made.again())
    assert "provisioner down demo" in caught.value.remedy
    assert len(made.cloud.called("run_instances")) == calls


def test_an_instance_that_is_gone_is_told_by_its_name() -> None:
    made = bench(count=2)
    up(made)
    made.cloud.delete("instance", [next(iter(made.cloud.machines))])
    with pytest.raises(DriftError, match="1 of the instances are missing: demo-001"):
        up(made)


def changed(made: Bench, change: Mapping[str, Any]) -> Bench:
    """A new process with an inventory that differs in its cloud section, or in another one that is named."""
    sections = dict(change)
    cloud = {"instance_types": TYPES, "zones": ZONES, "count": 2, **sections.pop("cloud", {})}
    return made.again(cloud=cloud, **sections)


LASTING = [
    ({"cloud": {"instance_types": ["ecs.hfg7.xlarge"]}}, r"is a ecs\.hfc7\.xlarge, the inventory asks for ecs\.hfg7"),
    ({"cloud": {"count": 1}}, r"1 more than the 1 that the inventory asks for: demo-002 \(instance-\d+\)"),
    ({"cloud": {"count": 3}}, r"1 of the instances are missing: demo-003"),
    ({"cloud": {"zones": ZONES[1:]}}, r"is in cn-hangzhou-i, the inventory asks for cn-hangzhou-k"),
    ({"cloud": {"spot": {}}}, r"is no spot instance, the inventory asks for one"),
    (
        {"cloud": {"system_disk": {"size_gib": 200}}},
        r"cloud\.system_disk\.size_gib was 100, .* asks for 200",
    ),
    ({"cloud": {"image_id": "m-1"}}, r"cloud\.image was acs:alibaba_cloud_linux_3\w+, the inventory asks for m-1"),
    ({"cloud": {"ram_role": "role"}}, r"cloud\.ram_role was nothing, the inventory asks for role"),
    ({"cloud": {"user_data": "#!/bin/sh"}}, r"cloud\.user_data is another than it was"),
    (
        {"cloud": {"vpc_id": "vpc-1", "security_group_id": "sg-1"}},
        r"cloud\.vpc_id was nothing, the inventory asks for vpc-1; cloud\.security_group_id was nothing",
    ),
    ({"cloud": {"vpc_cidr": "10.0.0.0/16"}}, r"cloud\.vpc_cidr was 172\.16\.0\.0/16, .* asks for 10\.0\.0\.0/16"),
    ({"ssh": {"user": "ecs-user"}}, r"ssh\.user was root, the inventory asks for ecs-user"),
]


@pytest.mark.parametrize(("change", "message"), LASTING, ids=[message for _, message in LASTING])
def test_a_changed_inventory_is_drift_where_the_service_cannot_change_it(change: dict[str, Any], message: str) -> None:
    made = bench(count=2)
    up(made)
    with pytest.raises(DriftError, match=message) as caught:
        up(changed(made, change))
    assert "provisioner down demo" in caught.value.remedy
    assert made.cloud.count()["instance"] == 2


def test_the_familys_image_may_be_given_by_its_id_later() -> None:
    made = bench(count=2)
    up(made)
    (request,) = requests(made)
    assert changed(made, {"cloud": {"image_id": request.image_id}}).cloud_runner().up().changed == 0


IN_PLACE = [
    ({"auto_release_hours": 24}, {"auto_release_at": datetime(2026, 1, 2, 3, 0, tzinfo=timezone.utc)}),
    ({"auto_release_hours": None}, {"auto_release_at": None}),
    ({"deletion_protection": True}, {"deletion_protection": True}),
    ({"internet_bandwidth_mbps": 5}, {"bandwidth_mbps": 5}),
]


@pytest.mark.parametrize(("change", "fields"), IN_PLACE, ids=[next(iter(change)) for change, _ in IN_PLACE])
def test_what_the_service_can_change_is_changed(change: dict[str, Any], fields: dict[str, Any]) -> None:
    made = bench(count=2)
    up(made)
    again = changed(made, {"cloud": change})
    again.clock.advance(3 * 3600)
    assert again.cloud_runner().up().changed == 1
    assert len(requests(made)) == 1
    for instance in made.cloud.machines.values():
        assert {name: getattr(instance, name) for name in fields} == fields
    calls = len(made.cloud.calls)
    assert changed(again, {"cloud": change}).cloud_runner().up().changed == 0
    assert not [call for call in made.cloud.calls[calls:] if call.name.startswith("set_")]


def test_the_hours_until_the_release_are_what_was_asked_for_and_not_what_is_left() -> None:
    """A second up, four hours later, changes nothing."""
    made = bench(auto_release_hours=6)
    up(made)
    before = [machine.auto_release_at for machine in made.cloud.machines.values()]
    again = made.again()
    again.clock.advance(4 * 3600)
    assert again.cloud_runner().up().changed == 0
    assert [machine.auto_release_at for machine in made.cloud.machines.values()] == before


def tags_of_all(made: Bench) -> list[dict[str, str]]:
    """The tags of each resource, and of each instance as DescribeInstances shows it, without the program's own."""
    shown = [*made.cloud.resources.values(), *made.cloud.machines.values()]
    own = made.session.deployment.own_tags
    assert all(own.items() <= each.tags.items() for each in shown)
    return [{key: value for key, value in each.tags.items() if key not in own} for each in shown]


def test_changed_tags_go_to_all_that_was_made() -> None:
    """Those that the inventory no longer gives are taken away, somebody else's stay."""
    made = bench(count=2, tags={"team": "vision", "stage": "test"})
    up(made)
    vpc = next(iter(made.cloud.find("vpc", {}))).id
    made.cloud.tag("vpc", [vpc], {"audit": "2026"})
    for tags in ({"team": "speech", "cost": "7"}, {"cost": "7"}, {}):
        again = changed(made, {"cloud": {"tags": tags}})
        assert step(again).check().detail.startswith("to be changed: tags ")
        assert again.cloud_runner().up().changed == 1
        there = tags_of_all(made)
        assert len(there) == 8
        assert [each for each in there if each != tags] == [{**tags, "audit": "2026"}]
        assert changed(made, {"cloud": {"tags": tags}}).cloud_runner().up().changed == 0


def test_an_instance_that_somebody_renamed_is_named_as_before() -> None:
    made = bench(count=2)
    up(made)
    first, second = made.cloud.machines
    made.cloud.change(first, name="demo-002")
    made.cloud.change(second, name="mine")
    again = made.again()
    assert step(again).check().detail == "to be changed: demo-002 named demo-001, mine named demo-002"
    assert again.cloud_runner().up().changed == 1
    assert [machine.name for machine in made.cloud.machines.values()] == ["demo-001", "demo-002"]
    assert [host.instance_id for host in made.store.state.hosts] == [first, second]


def test_a_release_that_somebody_called_off_is_set_again() -> None:
    made = bench()
    up(made)
    (only,) = made.cloud.machines
    made.cloud.change(only, auto_release_at=None)
    up(made.again())
    assert made.cloud.machines[only].auto_release_at is not None


def test_an_inventory_that_changed_while_the_call_was_under_way_is_noticed() -> None:
    """The call of the run that was cut off is sent again with its release time, which is then set anew."""
    made = bench(count=2)
    made.cloud.failures["run_instances"] = [CloudUnavailableError("no reply")]
    with pytest.raises(CloudUnavailableError):
        up(made)
    up(changed(made, {"cloud": {"auto_release_hours": 24, "system_disk": {"size_gib": 200}}}))
    first, second = requests(made)
    assert len(set(tokens(made))) == 1
    assert (first.auto_release_at, second.system_disk.size_gib) == (second.auto_release_at, 200)
    for instance in made.cloud.machines.values():
        assert instance.auto_release_at == datetime(2026, 1, 2, 0, 1, tzinfo=timezone.utc)


def test_instances_that_never_run_are_a_deadline_missed() -> None:
    made = bench()
    made.cloud.polls_until_running = 10**9
    with pytest.raises(DeadlineError, match=r"not running after 600 s: instance-.* Pending") as caught:
        up(made)
    assert "provisioner down demo" in caught.value.remedy
    assert made.clock.monotonic() <= RUNNING_DEADLINE_S + 60
    assert any("waiting for 1 of 1 instances: Pending" in line for line in made.told)


def test_the_short_stop_between_pending_and_starting_is_no_drift() -> None:
    """RunInstances' instances show Stopped for a moment before they start."""
    made = bench()
    made.cloud.polls_until_running = 10**9
    looks = []

    def pass_by(_: float) -> None:
        looks.append(1)
        (only,) = made.cloud.machines
        states = {1: {"state": "Stopped"}, 3: {"state": "Running", "public_ip": "198.51.100.1"}}
        made.cloud.change(only, **states.get(len(looks), {}))

    made.clock.on_sleep = pass_by
    up(made)
    assert len(looks) == 3


# ------------------------------------------------------------------------------------------------ down


def test_disks_and_addresses_go_too() -> None:
    made = bench(count=2)
    up(made)
    made.cloud.add("disk", made.session.deployment.tags)
    made.cloud.add("eip", made.session.deployment.tags)
    step(made).undo()
    assert not {"instance", "disk", "eip"} & set(made.cloud.count())
    assert made.store.state.hosts == ()


# ------------------------------------------------------------------------------------------------ plan


def test_the_plan_shows_each_instance_and_the_price_of_forgetting() -> None:
    made = bench(count=2, auto_release_hours=2, spot={})
    description = step(made).describe()
    assert description.title == "Create 2 instances of ecs.hfc7.xlarge, released by itself after 2 h"
    assert [resource.name for resource in description.resources] == ["demo-001", "demo-002"]
    assert description.resources[0].attributes["spot"] == "at the market price"
    assert description.resources[0].attributes["instance_types"] == TYPES
    assert made.cloud.calls == []
