"""The adapter against the simulator: the real SDK over HTTP, states that take time, and what goes wrong on the way.

The clock moves the simulator's time instead of waiting for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from provisioner.adapters.ecs import Credentials, EcsCloud, connect
from provisioner.errors import (
    CloudRefusedError,
    CloudUnavailableError,
    CredentialsError,
    DeadlineError,
    NoCapacityError,
    TypeRefusedError,
)
from provisioner.inventory.spec import SpotSpec, SystemDiskSpec
from provisioner.resources import IngressRule, InstanceRequest, Kind
from provisioner.secret import Secret
from provisioner.simulator.server import Simulator
from tests.support.clock import FakeClock

TAGS = {"provisioner:name": "demo", "provisioner:run": "r1", "team": "x y/é"}
OWN = {"provisioner:name": "demo"}
TYPE = "ecs.hfc7.large"
FAMILY = "acs:alibaba_cloud_linux_3_2104_lts_x64"
ZONE = "cn-hangzhou-i"
KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBSR2SHxC6a5YquJXooZSgM4mF6r"
    "vFvGmt8gbHKBgFcUFd+zkX7w2CZ0OPwJ1nyXoBfGxLg9RQq+eB1GdVC6H90= demo"
)
SSH = IngressRule("tcp", "22/22", "203.0.113.7/32", "SSH from here")


class Desk:
    """A simulator with a client whose waiting moves the simulated time."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.clock = FakeClock(on_sleep=simulator.advance)
        self.told: list[str] = []
        key_id, secret = simulator.key_pair
        self.cloud = self.connect(Credentials(key_id, Secret(secret)))

    def connect(self, credentials: Credentials) -> EcsCloud:
        return connect(
            "cn-hangzhou",
            endpoint=self.simulator.endpoint,
            credentials=credentials,
            clock=self.clock,
            progress=self.told.append,
        )

    def network(self, tags: Mapping[str, str] = TAGS) -> dict[str, str]:
        vpc = self.cloud.create_vpc("demo", "172.16.0.0/16", tags, "vpc-token")
        vswitch = self.cloud.create_vswitch(vpc, ZONE, "172.16.0.0/24", "demo", tags, "vswitch-token")
        group = self.cloud.create_security_group(vpc, "demo", tags, "group-token")
        key = self.cloud.import_key_pair("demo", KEY, tags)
        return {"vpc": vpc, "vswitch": vswitch, "security-group": group, "key-pair": key}

    def request(self, network: Mapping[str, str], count: int = 1, **changes: Any) -> InstanceRequest:
        values: dict[str, Any] = {
            "names": [f"demo-{number:03d}" for number in range(1, count + 1)],
            "instance_type": TYPE,
            "zone": ZONE,
            "image_id": self.cloud.newest_image(FAMILY, TYPE).id,
            "vswitch_id": network["vswitch"],
            "security_group_id": network["security-group"],
            "key_pair": network["key-pair"],
            "system_disk": SystemDiskSpec(),
            "internet_bandwidth_mbps": 10,
        }
        return InstanceRequest(**{**values, **changes})

    def run(self, count: int = 1, token: str = "run", **changes: Any) -> list[str]:
        return self.cloud.run_instances(self.request(self.network(), count, **changes), TAGS, token)

    def until_running(self) -> None:
        while {instance.state for instance in self.cloud.instances(OWN)} != {"Running"}:
            self.clock.sleep(1)

    def kinds(self) -> Counter[str]:
        return Counter(resource["kind"] for resource in self.simulator.resources)

    def actions(self) -> Counter[str]:
        return Counter(call["action"] for call in self.simulator.calls)

    def remove_all(self) -> None:
        for kind in ("instance", "disk", "eip", "key-pair", "security-group", "vswitch", "vpc"):
            found = self.cloud.find(kind, OWN)  # type: ignore[arg-type]
            self.cloud.delete(kind, [resource.id for resource in found])  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Iterator[Desk]:
    # Time moves by more than the quarter of an hour that a signature is good for.
    with Simulator(machines="none", pace=30, window_s=None) as simulator:
        yield Desk(simulator)


# ------------------------------------------------------------------------------------------------ up and down


def test_a_deployment_comes_and_goes(desk: Desk) -> None:
    """Everything is made with its tags, found by them, deleted in reverse, and gone when delete returns."""
    network = desk.network()
    desk.cloud.authorize(network["security-group"], [SSH])
    ids = desk.cloud.run_instances(desk.request(network, 3), TAGS, "run")
    desk.until_running()

    for kind, id_ in network.items():
        (found,) = desk.cloud.find(kind, OWN)  # type: ignore[arg-type]
        assert (found.id, found.name, found.tags) == (id_, "demo", TAGS)
    instances = desk.cloud.instances(OWN)
    assert {instance.id for instance in instances} == set(ids)
    assert sorted(instance.name for instance in instances) == ["demo-001", "demo-002", "demo-003"]
    assert all(instance.public_ip and instance.private_ip.startswith("172.16.0.") for instance in instances)
    assert {(instance.instance_type, instance.zone) for instance in instances} == {(TYPE, ZONE)}
    assert len(desk.cloud.find("disk", OWN)) == 3  # RunInstances' tags are the disks' too

    desk.remove_all()
    assert desk.simulator.resources == []


def test_names_are_the_ones_that_were_asked_for(desk: Desk) -> None:
    """InstanceName and HostName alike, for one as for many."""
    desk.run(1)
    assert [instance.name for instance in desk.cloud.instances(OWN)] == ["demo-001"]
    call = next(call for call in desk.simulator.calls if call["action"] == "RunInstances")
    assert call["params"]["HostName"] == "demo-001"


def test_a_hundred_instances_need_few_calls(desk: Desk) -> None:
    """Network, hundred instances, their addresses and a command on each: no call is made for each instance."""
    network = desk.network()
    desk.cloud.authorize(network["security-group"], [SSH])
    desk.cloud.stock([TYPE, "ecs.hfg7.large"])
    request = desk.request(network, 100)
    desk.cloud.price(request)
    ids = desk.cloud.run_instances(request, TAGS, "run")
    assert len(ids) == 100
    desk.clock.sleep(120)  # how often the caller looks until all run is the caller's affair
    instances = desk.cloud.instances(OWN)
    assert [instance.name for instance in sorted(instances, key=lambda one: one.name)] == list(request.names)
    assert len(desk.cloud.run_command(ids, "cat /etc/ssh/ssh_host_ed25519_key.pub")) == 100
    assert sum(desk.actions().values()) <= 40 + 100 / 10
    assert desk.actions()["RunInstances"] == desk.actions()["RunCommand"] == 1

    desk.remove_all()
    assert desk.kinds() == Counter()
    assert desk.actions()["DeleteInstances"] <= 10  # again while some are still Initializing


def test_protected_and_just_created_instances_are_deleted_too(desk: Desk) -> None:
    """Protection is taken off, and what is still Initializing is asked again until it is not."""
    ids = desk.run(2, deletion_protection=True)
    desk.cloud.delete("instance", ids)
    assert desk.kinds()["instance"] == 0
    assert any("Initializing" in line for line in desk.told)


def test_deleting_what_is_gone_is_fine(desk: Desk) -> None:
    ids = desk.run(2)
    desk.until_running()
    desk.cloud.delete("instance", ids[:1])
    desk.cloud.delete("instance", ids)
    desk.cloud.delete("instance", ids)
    network = {kind: desk.cloud.find(kind, OWN)[0].id for kind in ("security-group", "vswitch", "vpc", "key-pair")}  # type: ignore[arg-type]
    for _ in range(2):
        for kind, id_ in network.items():
            desk.cloud.delete(kind, [id_])  # type: ignore[arg-type]
    assert desk.simulator.resources == []


def test_what_is_in_the_way_is_waited_for(desk: Desk) -> None:
    """A VPC right after its VSwitch, a group right after its instances: the service still says DependencyViolation."""
    desk.run(1)
    desk.until_running()
    desk.remove_all()
    codes = {call["code"] for call in desk.simulator.calls}
    assert any(code.startswith("DependencyViolation") for code in codes)
    assert desk.simulator.resources == []


def test_a_vpc_that_is_in_use_says_so_in_the_end(desk: Desk) -> None:
    network = desk.network()
    with pytest.raises(CloudUnavailableError, match="DependencyViolation") as caught:
        desk.cloud.delete("vpc", [network["vpc"]])
    assert network["vpc"] in caught.value.message
    assert caught.value.remedy
    assert desk.clock.monotonic() <= 700


def test_the_neighbours_things_are_left_alone(desk: Desk) -> None:
    other = desk.cloud.create_vpc("other", "10.0.0.0/8", {"provisioner:name": "demo-2"}, "other")
    desk.network()
    desk.remove_all()
    assert [resource["id"] for resource in desk.simulator.resources] == [other]


# ------------------------------------------------------------------------------------------------ tokens


@pytest.mark.parametrize(
    "action", ["CreateVpc", "CreateVSwitch", "CreateSecurityGroup", "ImportKeyPair", "RunInstances"]
)
@pytest.mark.parametrize("kind", ["lost-after", "lost-before", "html", "error", "throttle"])
def test_a_creating_call_that_fails_on_the_way_makes_one_thing(desk: Desk, action: str, kind: str) -> None:
    """Whether the change was made before the answer was lost, or not."""
    desk.simulator.set_faults([{"action": action, "kind": kind, "times": 2}])
    (id_,) = desk.run(1)
    assert [instance.id for instance in desk.cloud.instances(OWN)] == [id_]
    assert desk.kinds() == {"vpc": 1, "vswitch": 1, "security-group": 1, "key-pair": 1, "instance": 1, "disk": 1}
    assert desk.actions()[action] >= 2


def test_the_token_of_an_earlier_call_gives_its_ids(desk: Desk) -> None:
    """What `up` does after it was killed between the call and its answer."""
    request = desk.request(desk.network(), 2)
    first = desk.cloud.run_instances(request, TAGS, "run")
    assert desk.cloud.run_instances(request, TAGS, "run") == first
    assert desk.kinds()["instance"] == 2
    with pytest.raises(CloudRefusedError) as caught:
        desk.cloud.run_instances(desk.request(desk.network(), 1), TAGS, "run")
    assert caught.value.code == "IdempotentParameterMismatch"
    assert caught.value.remedy


def test_a_key_pair_with_another_key_is_refused(desk: Desk) -> None:
    assert desk.cloud.import_key_pair("demo", KEY, TAGS) == "demo"
    assert desk.cloud.import_key_pair("demo", KEY.replace(" demo", " another comment"), TAGS) == "demo"
    with pytest.raises(CloudRefusedError, match="another key"):
        desk.cloud.import_key_pair("demo", KEY.replace("BSR2", "BSR3"), TAGS)


# ------------------------------------------------------------------------------------------------ refusals


def test_no_stock_is_for_the_next_candidate_and_leaves_nothing(desk: Desk) -> None:
    """All or none: two left are not sold to who asks for three."""
    desk.simulator.set_faults([{"kind": "no-stock", "zone": ZONE, "left": 2}])
    with pytest.raises(NoCapacityError) as caught:
        desk.run(3)
    assert caught.value.code == "OperationDenied.NoStock"
    assert TYPE in caught.value.message
    assert ZONE in caught.value.message
    assert desk.kinds()["instance"] == 0


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("Zone.NotOnSale", 403, NoCapacityError),
        ("Zone.NotOnSale", 400, NoCapacityError),
        ("QuotaExceed.ElasticQuota", 403, CloudRefusedError),
        ("InvalidAccountStatus.NotEnoughBalance", 403, CloudRefusedError),
        ("Forbidden.RAM", 403, CloudRefusedError),
        ("InvalidAccessKeyId.NotFound", 404, CredentialsError),
        ("Some.NewCode", 403, CloudRefusedError),
    ],
)
def test_a_refusal_is_not_tried_again(desk: Desk, code: str, status: int, kind: type[Exception]) -> None:
    fault = {"action": "RunInstances", "kind": "error", "code": code, "status": status, "times": None}
    desk.simulator.set_faults([fault])
    with pytest.raises(kind, match=code):
        desk.run(1)
    assert desk.actions()["RunInstances"] == 1


def test_keys_that_the_service_does_not_know_are_told_apart(desk: Desk) -> None:
    with pytest.raises(CredentialsError, match=r"InvalidAccessKeyId\.NotFound"):
        desk.connect(Credentials("nobody", Secret("nothing"))).zones()
    with pytest.raises(CredentialsError, match="secret does not belong"):
        desk.connect(Credentials(desk.simulator.key_pair[0], Secret("wrong"))).zones()


def test_a_dry_run_changes_nothing_and_finds_what_would_be_refused(desk: Desk) -> None:
    request = desk.request(desk.network(), 2)
    before = desk.simulator.resources
    desk.cloud.check_run_instances(request, TAGS)
    desk.simulator.set_faults([{"kind": "no-stock", "zone": ZONE}])
    with pytest.raises(NoCapacityError):
        desk.cloud.check_run_instances(request, TAGS)
    assert desk.simulator.resources == before


def test_throttling_is_waited_out_as_the_service_asks(desk: Desk) -> None:
    desk.simulator.set_faults([{"action": "DescribeZones", "kind": "throttle", "times": 2, "retry_after_ms": 4000}])
    assert desk.cloud.zones()
    assert len(desk.clock.slept) == 2
    assert min(desk.clock.slept) >= 4


def test_an_error_is_never_an_empty_list(desk: Desk) -> None:
    desk.network()
    for kind in ("error", "html", "lost-before", "throttle"):
        desk.simulator.set_faults([{"action": "Describe*", "kind": kind, "times": None}])
        with pytest.raises(CloudUnavailableError):
            desk.cloud.find("vpc", OWN)
        with pytest.raises(CloudUnavailableError):
            desk.cloud.instances(OWN)


def test_a_wait_has_a_deadline_and_says_what_for(desk: Desk) -> None:
    """A simulator that stands still while the client waits."""
    desk.clock.on_sleep = None
    with pytest.raises(DeadlineError, match=r"vpc-.*Pending"):
        desk.cloud.create_vpc("demo", "172.16.0.0/16", TAGS, "t")
    assert any(line.startswith("waiting for vpc-") for line in desk.told)


# ------------------------------------------------------------------------------------------------ the rest


def test_rules_come_back_as_they_went_in(desk: Desk) -> None:
    group = desk.network()["security-group"]
    assert desk.cloud.ingress_rules(group) == []
    other = IngressRule("tcp", "8080/8081", "198.51.100.0/24")
    desk.cloud.authorize(group, [SSH, other])
    desk.cloud.authorize(group, [SSH])
    assert sorted(desk.cloud.ingress_rules(group), key=lambda rule: rule.ports) == [SSH, other]
    desk.cloud.revoke(group, [SSH])
    desk.cloud.revoke(group, [SSH])
    assert desk.cloud.ingress_rules(group) == [other]


def test_names_and_tags_are_changed_in_place(desk: Desk) -> None:
    """Of every kind, each through the service that it belongs to."""
    network = desk.network()
    ids = desk.cloud.run_instances(desk.request(network), TAGS, "t")
    desk.simulator.advance(60)
    desk.cloud.set_name(ids[0], "another")
    kinds: tuple[Kind, ...] = ("vpc", "vswitch", "security-group", "key-pair", "instance", "disk")
    for kind in kinds:
        (resource,) = desk.cloud.find(kind, OWN)
        desk.cloud.tag(kind, [resource.id], {"team": "z", "new": ""})
        desk.cloud.untag(kind, [resource.id], ["provisioner:run", "never"])
        (resource,) = desk.cloud.find(kind, OWN)
        assert resource.tags == {**OWN, "team": "z", "new": ""}, kind
    (instance,) = desk.cloud.instances(OWN)
    assert instance.name == "another"


def test_spot_and_release_time_are_passed_on(desk: Desk) -> None:
    release = (desk.clock.now() + timedelta(days=500)).replace(microsecond=0)
    desk.run(1, spot=SpotSpec(price_limit_per_hour=1000), auto_release_at=release)
    (instance,) = desk.cloud.instances(OWN)
    assert instance.spot
    assert instance.auto_release_at == release


def test_a_spot_limit_below_the_market_is_for_the_next_candidate(desk: Desk) -> None:
    with pytest.raises(NoCapacityError, match="price_limit_per_hour"):
        desk.run(1, spot=SpotSpec(price_limit_per_hour=0.001))


def test_a_command_waits_for_the_agent(desk: Desk) -> None:
    """Asked for right after RunInstances, while nothing runs yet."""
    ids = desk.run(2)
    results = desk.cloud.run_command(ids, "true")
    assert {id_: (result.state, result.exit_code) for id_, result in results.items()} == dict.fromkeys(
        ids, ("Success", 0)
    )
    assert any("Cloud Assistant agent" in line for line in desk.told)


def test_what_can_be_had(desk: Desk) -> None:
    zones = desk.cloud.zones()
    assert ZONE in zones
    stock = desk.cloud.stock([TYPE, "ecs.hfg7.large", "ecs.nothing.large"])
    assert ZONE in stock[TYPE]
    assert set(stock[TYPE]) <= set(zones)
    assert stock["ecs.nothing.large"] == []
    assert desk.cloud.stock([TYPE]) == {TYPE: stock[TYPE]}
    types = [TYPE, "ecs.hfg7.24xlarge", "ecs.nothing.large", *(f"ecs.hfc7.{size}" for size in SIZES)]
    offers = {offer.instance_type: offer for offer in desk.cloud.type_offers(types)}
    assert set(offers) == set(types) - {"ecs.nothing.large"}
    assert (offers["ecs.hfg7.24xlarge"].vcpus, offers["ecs.hfg7.24xlarge"].memory_gib) == (96, 384)
    assert offers[TYPE].architecture == "x86_64"
    assert (offers[TYPE].threads_per_core, offers[TYPE].cpu_model) == (
        2,
        "Intel Xeon Platinum 8369HB / 8369HC (Cooper Lake)",
    )
    image = desk.cloud.newest_image(FAMILY, TYPE)
    assert image.family == FAMILY
    assert image.size_gib >= 1
    with pytest.raises(TypeRefusedError):
        desk.cloud.newest_image("acs:nothing", TYPE)


SIZES: Sequence[str] = ("xlarge", "2xlarge", "3xlarge", "4xlarge", "6xlarge", "8xlarge", "12xlarge", "24xlarge")


def test_a_price_has_a_currency_and_spot_costs_less(desk: Desk) -> None:
    network = desk.network()
    full = desk.cloud.price(desk.request(network))
    spot = desk.cloud.price(desk.request(network, spot=SpotSpec()))
    assert 0 < spot.per_hour < full.per_hour
    assert full.currency == "CNY"


def test_every_page_is_read(desk: Desk) -> None:
    """More VPCs than fit a page of DescribeVpcs."""
    desk.simulator.service.account.quotas["vpcs"] = 1000
    made = {desk.cloud.create_vpc(f"demo-{n}", "172.16.0.0/16", TAGS, f"t{n}") for n in range(60)}
    assert {resource.id for resource in desk.cloud.find("vpc", OWN)} == made


def test_who_calls(desk: Desk) -> None:
    assert desk.cloud.caller_identity().arn.startswith("acs:ram::")
