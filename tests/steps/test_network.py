"""VPC, VSwitch, security group and key pair against a cloud in memory."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.errors import CloudRefusedError, CloudUnavailableError, DriftError, NoCapacityError, StateError
from provisioner.resources import IngressRule
from provisioner.step import ABSENT, Presence
from provisioner.steps.network import (
    RULE_DESCRIPTION,
    KeyPairStep,
    SecurityGroupStep,
    VpcStep,
    VSwitchStep,
)
from tests.support.deployments import CALLER, PUBLIC_KEY, Bench, spec

GIVEN = {
    "vpc_id": "vpc-given",
    "vswitch_id": "vsw-given",
    "security_group_id": "sg-given",
    "key_pair": "pair-given",
    "zones": ["cn-hangzhou-i"],
}
ZONES = {"zones": ["cn-hangzhou-i", "cn-hangzhou-k"]}


class Site:
    """A bench with its four steps."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.cloud = bench.cloud
        self.vpc = VpcStep(bench.session.access)
        self.vswitch = VSwitchStep(bench.session.access, self.vpc)
        self.group = SecurityGroupStep(bench.session.access, self.vpc, bench.session.caller_cidrs)
        self.key_pair = KeyPairStep(bench.session.access, bench.session.public_key)
        self.steps: list[Any] = [self.vpc, self.vswitch, self.group, self.key_pair]

    def make_what_is_absent(self) -> None:
        for step in self.steps:
            if step.check() == ABSENT:
                step.apply()

    def up(self) -> None:
        self.bench.runner(*self.steps).up()


def site(**cloud: Any) -> Site:
    return Site(Bench(spec(cloud=cloud)))


@pytest.fixture(name="made")
def _made() -> Site:
    made = site(**ZONES)
    made.up()
    return made


# ------------------------------------------------------------------------------------------------ one of each


def test_one_of_each_is_made_with_the_deployments_tags(made: Site) -> None:
    assert made.cloud.count() == {"vpc": 1, "vswitch": 1, "security-group": 1, "key-pair": 1}
    wanted = {"provisioner:name": "demo", "provisioner:run": "r1"}
    assert all(resource.tags == wanted for resource in made.cloud.resources.values())


def test_the_inventorys_own_tags_go_along() -> None:
    tagged = site(tags={"team": "vision"})
    tagged.up()
    assert {resource.tags.get("team") for resource in tagged.cloud.resources.values()} == {"vision"}


def test_every_creating_call_has_a_token_that_was_written_down_before(made: Site) -> None:
    """The token is not the same for two things, and the intent is resolved afterwards."""
    creating = ("create_vpc", "create_vswitch", "create_security_group")
    tokens = {args[-1] for name in creating for args in made.cloud.called(name)}
    assert len(tokens) == 3
    assert made.bench.store.state.unresolved == []


def test_the_key_pairs_name_tells_one_life_of_the_deployment_from_the_next(made: Site) -> None:
    """ImportKeyPair has no ClientToken: the same name with the same key is the same pair."""
    ((name, key, _),) = made.cloud.called("import_key_pair")
    assert (name, key) == ("provisioner-demo-r1", PUBLIC_KEY)


@pytest.mark.parametrize("lost", ["create_vpc", "create_vswitch", "create_security_group", "import_key_pair"])
def test_after_a_lost_reply_the_same_call_goes_out_again(lost: str) -> None:
    """Same arguments, same token: one resource, although nothing shows in the cloud's lists for a while."""
    first = site(**ZONES)
    first.cloud.lost[lost] = [CloudUnavailableError("no reply")]
    first.cloud.hidden = 5
    with pytest.raises(CloudUnavailableError):
        first.make_what_is_absent()
    Site(first.bench.again()).make_what_is_absent()
    one, other = first.cloud.called(lost)
    assert one == other
    assert set(first.cloud.count().values()) == {1}


def test_what_is_there_is_found_and_its_intent_resolved() -> None:
    """The reply was lost, but the resource shows: it is taken, not made again."""
    first = site(**ZONES)
    first.cloud.lost["create_vpc"] = [CloudUnavailableError("no reply")]
    with pytest.raises(CloudUnavailableError):
        first.vpc.apply()
    second = Site(first.bench.again())
    second.up()
    assert first.cloud.count()["vpc"] == 1
    assert len(first.cloud.called("create_vpc")) == 1
    assert second.bench.store.state.unresolved == []


def test_two_of_a_kind_are_not_chosen_between(made: Site) -> None:
    made.cloud.add("vpc", made.bench.session.deployment.tags, id="vpc-second")
    with pytest.raises(DriftError, match="vpc-second") as caught:
        made.vpc.check()
    assert "provisioner down demo" in caught.value.remedy


def test_a_name_that_somebody_else_uses_is_refused() -> None:
    """The same inventory in the same account, from another machine: neither takes nor removes the other's."""
    other = site()
    other.cloud.add("vpc", {"provisioner:name": "demo", "provisioner:run": "r0"}, id="vpc-theirs")
    with pytest.raises(DriftError, match="vpc-theirs") as caught:
        other.vpc.check()
    assert "sweep" in caught.value.remedy
    other.vpc.undo()
    assert "vpc-theirs" in other.cloud.resources


@pytest.mark.parametrize("index", range(4))
def test_an_error_while_looking_is_raised(index: int) -> None:
    broken = site(**ZONES)
    broken.cloud.failures["find"] = [CloudUnavailableError("502")]
    with pytest.raises(CloudUnavailableError):
        broken.steps[index].check()


def test_an_id_is_asked_for_only_once_it_is_there() -> None:
    with pytest.raises(StateError, match="vpc does not exist yet"):
        site().vpc.id()


# ------------------------------------------------------------------------------------------------ given ids


def test_given_ids_are_used_and_neither_made_nor_deleted() -> None:
    given = site(**GIVEN)
    given.up()
    assert [step.id() for step in given.steps] == ["vpc-given", "vsw-given", "sg-given", "pair-given"]
    assert given.vswitch.in_zone("cn-hangzhou-i") == "vsw-given"
    assert given.cloud.calls == []
    for step in reversed(given.steps):
        step.undo()
    assert {call.name for call in given.cloud.calls} == {"find"}
    assert [step.describe().title for step in given.steps] == [
        "Use vpc vpc-given",
        "Use vswitch vsw-given",
        "Use security-group sg-given",
        "Use key-pair pair-given",
    ]


def test_ours_are_deleted_and_nothing_else(made: Site) -> None:
    kept = made.cloud.add("vpc", {"provisioner:name": "other", "provisioner:run": "r9"})
    for step in reversed(made.steps):
        step.undo()
    assert set(made.cloud.resources) == {kept}
    for step in reversed(made.steps):
        step.undo()  # gone already is fine


def test_ours_goes_although_the_inventory_has_come_to_name_another(made: Site) -> None:
    later = Site(made.bench.again(cloud=GIVEN))
    for step in reversed(later.steps):
        step.undo()
    assert made.cloud.count() == {}


# ------------------------------------------------------------------------------------------------ zones


def test_the_first_vswitch_is_in_a_zone_in_stock() -> None:
    auto = site(zones="auto")
    auto.up()
    assert [args[1] for args in auto.cloud.called("create_vswitch")] == ["cn-hangzhou-j"]


def test_stock_is_asked_for_once_a_run() -> None:
    auto = site(zones="auto")
    auto.vswitch.candidates()
    auto.vswitch.candidates()
    assert len(auto.cloud.called("stock")) == len(auto.cloud.called("zones")) == 1


def test_a_zone_that_takes_no_vswitch_leads_to_the_next() -> None:
    """And its call is not waited for later: it made nothing."""
    auto = site(zones="auto")
    auto.cloud.failures["create_vswitch"] = [NoCapacityError("ResourceNotAvailable")]
    auto.up()
    assert [args[1] for args in auto.cloud.called("create_vswitch")] == ["cn-hangzhou-j", "cn-hangzhou-i"]
    assert auto.cloud.count()["vswitch"] == 1
    assert auto.bench.store.state.unresolved == []


def test_a_refusal_that_no_zone_mends_ends_it() -> None:
    auto = site(zones="auto")
    auto.cloud.failures["create_vswitch"] = [CloudRefusedError("QuotaExceeded.VSwitch")]
    with pytest.raises(CloudRefusedError, match="Quota"):
        auto.up()
    assert len(auto.cloud.called("create_vswitch")) == 1
    assert auto.bench.store.state.unresolved == []


def test_no_zone_takes_a_vswitch() -> None:
    auto = site(zones="auto")
    auto.cloud.failures["create_vswitch"] = [NoCapacityError(f"no VSwitch in {zone}") for zone in "jik"]
    with pytest.raises(NoCapacityError, match=r"none of the 3 candidates.*in j; no VSwitch in i; no VSwitch in k"):
        auto.up()


def test_a_region_without_zones_is_an_error() -> None:
    none = site(zones="auto")
    none.cloud.first_zones = none.cloud.region_zones = []
    with pytest.raises(CloudRefusedError, match="shows no zone that takes new instances"):
        none.vswitch.candidates()


def test_zones_that_the_region_does_not_show_are_an_error() -> None:
    none = site(zones=["cn-hangzhou-x"])
    with pytest.raises(CloudRefusedError, match=r"cn-hangzhou-x: region cn-hangzhou has no such zone.*cloud\.zones"):
        none.vswitch.candidates()


def test_each_zone_has_a_vswitch_of_its_own_range(made: Site) -> None:
    """The n-th zone asked for gets the n-th range, also when it is asked for again."""
    first = made.vswitch.in_zone("cn-hangzhou-i")
    second = made.vswitch.in_zone("cn-hangzhou-k")
    assert first != second
    assert made.vswitch.in_zone("cn-hangzhou-i") == first
    ranges = [(args[1], args[2]) for args in made.cloud.called("create_vswitch")]
    assert ranges == [("cn-hangzhou-i", "172.16.0.0/20"), ("cn-hangzhou-k", "172.16.16.0/20")]


@pytest.mark.parametrize(("cidr", "wanted"), [("10.0.0.0/8", "10.0.0.0/16"), ("192.168.1.0/28", "192.168.1.0/29")])
def test_ranges_fit_their_network(cidr: str, wanted: str) -> None:
    other = site(vpc_cidr=cidr, **ZONES)
    other.up()
    assert other.cloud.called("create_vswitch")[0][2] == wanted


def test_a_network_without_room_says_so() -> None:
    small = site(vpc_cidr="192.168.1.0/28", **ZONES)
    small.up()
    small.vswitch.in_zone("cn-hangzhou-k")
    with pytest.raises(CloudRefusedError, match="no room") as caught:
        small.vswitch.in_zone("cn-hangzhou-j")
    assert "vpc_cidr" in caught.value.remedy


# ------------------------------------------------------------------------------------------------ the firewall


def test_ssh_is_open_to_the_caller_alone(made: Site) -> None:
    assert made.cloud.rules[made.group.id()] == [IngressRule("tcp", "22/22", CALLER, RULE_DESCRIPTION)]


def test_a_changed_address_changes_the_rule(made: Site) -> None:
    """A laptop that moved: the new address is let in, the old one no longer, other people's rules stay."""
    group = made.group.id()
    foreign = IngressRule("tcp", "443/443", "0.0.0.0/0", "somebody's")
    made.cloud.rules[group].append(foreign)
    again = Site(made.bench.again())
    again.bench.caller = ("198.51.100.9/32",)
    finding = again.group.check()
    assert finding.presence is Presence.ABSENT
    assert finding.detail == f"SSH is open to {CALLER} on port 22, not to 198.51.100.9/32 on port 22"
    again.up()
    assert again.group.check().detail == f"{group}, SSH from 198.51.100.9/32 on port 22"
    assert {rule.source for rule in made.cloud.rules[group]} == {"198.51.100.9/32", "0.0.0.0/0"}
    assert foreign in made.cloud.rules[group]
    assert made.cloud.count()["security-group"] == 1


def test_a_changed_port_changes_the_rule() -> None:
    first = Site(Bench(spec(cloud=ZONES, ssh={"port": 2222})))
    first.up()
    again = Site(first.bench.again(ssh={"port": 22}))
    again.up()
    assert [rule.ports for rule in first.cloud.rules[again.group.id()]] == ["22/22"]


def test_several_addresses_are_let_in() -> None:
    several = site(**ZONES)
    several.bench.caller = ("192.0.2.0/24", "2001:db8::/64")
    several.up()
    assert {rule.source for rule in several.cloud.rules[several.group.id()]} == {"192.0.2.0/24", "2001:db8::/64"}


def test_a_group_whose_rule_was_not_made_gets_it(made: Site) -> None:
    """Cut off between CreateSecurityGroup and AuthorizeSecurityGroup."""
    made.cloud.rules.clear()
    again = Site(made.bench.again())
    again.up()
    assert made.cloud.count()["security-group"] == 1
    assert [rule.source for rule in made.cloud.rules[again.group.id()]] == [CALLER]


def test_open_to_the_world_only_when_asked_and_said_aloud() -> None:
    description = site(ssh_from=["0.0.0.0/0"]).group.describe()
    assert description.warnings == ("cloud.ssh_from opens SSH to the whole internet",)
    assert site().group.describe().warnings == ()
    assert site(ssh_from=["192.0.2.0/24"]).group.describe().warnings == ()


# ------------------------------------------------------------------------------------------------ plan


def test_the_plan_is_made_without_asking_anybody() -> None:
    planned = site(**ZONES)
    resources = [resource for step in planned.steps for resource in step.describe().resources]
    assert [(r.kind, r.name) for r in resources] == [
        ("vpc", "demo"),
        ("vswitch", "demo"),
        ("security-group", "demo"),
        ("key-pair", "demo"),
    ]
    assert resources[0].attributes == {"cidr": "172.16.0.0/16", "region": "cn-hangzhou"}
    assert planned.cloud.calls == []
