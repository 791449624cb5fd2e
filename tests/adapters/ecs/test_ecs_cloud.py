"""What EcsCloud asks the service, and what it makes of the answers, without a service."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from provisioner.adapters.ecs.api import DELETE_S
from provisioner.adapters.ecs.deletion import HINDERED_S
from provisioner.adapters.ecs.instances import sequence
from provisioner.adapters.ecs.sdk import Fault
from provisioner.errors import (
    CloudError,
    CloudRefusedError,
    CloudUnavailableError,
    DeadlineError,
    NoCapacityError,
    TypeRefusedError,
)
from provisioner.inventory.spec import SpotSpec, SystemDiskSpec
from provisioner.resources import (
    CommandResult,
    Identity,
    Image,
    IngressRule,
    InstanceRequest,
    Kind,
    Price,
    Resource,
    TypeOffer,
)
from tests.adapters.ecs.script import Bench, Script

UTC = timezone.utc
TAGS = {"provisioner:name": "demo", "team": "x y"}
ECS_TAGS = {"Tag": [{"TagKey": "provisioner:name", "TagValue": "demo"}, {"TagKey": "team", "TagValue": "x y"}]}
VPC_TAGS = {"Tag": [{"Key": "provisioner:name", "Value": "demo"}, {"Key": "team", "Value": "x y"}]}
ASKED_TAGS = VPC_TAGS["Tag"]


def request(**changes: Any) -> InstanceRequest:
    values: dict[str, Any] = {
        "names": ["demo-001"],
        "instance_type": "ecs.hfc7.24xlarge",
        "zone": "cn-hangzhou-i",
        "image_id": "aliyun_3.vhd",
        "vswitch_id": "vsw-1",
        "security_group_id": "sg-1",
        "key_pair": "demo",
        "system_disk": SystemDiskSpec(),
        "internet_bandwidth_mbps": 100,
    }
    return InstanceRequest(**{**values, **changes})


def refused(code: str, status: int = 403) -> Fault:
    return Fault(code, "No.", status=status)


# ------------------------------------------------------------------------------------------------ run_instances

RAN = {"InstanceIdSets": {"InstanceIdSet": ["i-1", "i-2"]}}


def ran(**changes: Any) -> dict[str, Any]:
    """The parameters of RunInstances for a request."""
    bench = Bench(Script(RunInstances=[RAN]))
    assert bench.cloud.run_instances(request(**changes), TAGS, "token") == ["i-1", "i-2"]
    (asked,) = bench.script.asked("RunInstances")
    return asked


def test_everything_with_a_changing_default_is_said() -> None:
    """Disk category, level and size, the image, the payment: the service's defaults have moved before."""
    assert ran() == {
        "RegionId": "cn-hangzhou",
        "Amount": 1,
        "InstanceName": "demo-001",
        "HostName": "demo-001",
        "UniqueSuffix": False,
        "InstanceChargeType": "PostPaid",
        "InstanceType": "ecs.hfc7.24xlarge",
        "ZoneId": "cn-hangzhou-i",
        "ImageId": "aliyun_3.vhd",
        "VSwitchId": "vsw-1",
        "SecurityGroupId": "sg-1",
        "KeyPairName": "demo",
        "SystemDisk": {"Category": "cloud_essd", "PerformanceLevel": "PL1", "Size": 100},
        "InternetMaxBandwidthOut": 100,
        "InternetChargeType": "PayByTraffic",
        "DeletionProtection": False,
        "SecurityEnhancementStrategy": "Deactive",
        "SpotStrategy": "NoSpot",
        "Tag": ASKED_TAGS,
        "ClientToken": "token",
    }


def test_what_the_inventory_may_add() -> None:
    release = datetime(2026, 1, 1, 20, 30, tzinfo=UTC)
    asked = ran(
        auto_release_at=release,
        ram_role="reader",
        user_data="#!/bin/sh\n",
        deletion_protection=True,
        login_as_non_root=True,
    )
    assert asked["ImageOptions"] == {"LoginAsNonRoot": True}
    assert asked["AutoReleaseTime"] == "2026-01-01T20:30:00Z"
    assert asked["RamRoleName"] == "reader"
    assert base64.b64decode(asked["UserData"]) == b"#!/bin/sh\n"
    assert asked["DeletionProtection"] is True


def test_a_performance_level_is_only_for_essd() -> None:
    assert ran(system_disk=SystemDiskSpec(category="cloud_auto"))["SystemDisk"] == {
        "Category": "cloud_auto",
        "Size": 100,
    }


@pytest.mark.parametrize(
    ("spot", "wanted"),
    [
        (SpotSpec(), {"SpotStrategy": "SpotAsPriceGo"}),
        (SpotSpec(price_limit_per_hour=1.5), {"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": 1.5}),
        (SpotSpec(price_limit_per_hour=1.0019), {"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": 1.001}),
    ],
)
def test_spot(spot: SpotSpec, wanted: dict[str, Any]) -> None:
    """A price limit has three decimals and is never more than what was allowed."""
    asked = ran(spot=spot)
    assert {key: value for key, value in asked.items() if key.startswith("Spot")} == wanted


def test_a_hundred_instances_are_one_call() -> None:
    asked = ran(names=[f"demo-{i:03d}" for i in range(1, 101)])
    assert asked["Amount"] == 100
    assert asked["InstanceName"] == asked["HostName"] == "demo-[1,3]"
    assert "MinAmount" not in asked


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["demo-001"], "demo-001"),
        (["demo"], "demo"),
        (["demo-001", "demo-002"], "demo-[1,3]"),
        (["demo-010", "demo-011"], "demo-[10,3]"),
        (["demo-099", "demo-100"], "demo-[99,3]"),
        (["a2-1", "a2-2"], "a2-[1,1]"),
    ],
)
def test_names_as_one_sequence(names: list[str], wanted: str) -> None:
    assert sequence(names) == wanted


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["demo-001", "demo-003"],
        ["demo-002", "demo-001"],
        ["a", "b"],
        ["d-9", "d-10"],
        [f"d-{i:03d}" for i in range(101)],
    ],
    ids=["none", "gap", "backwards", "unnumbered", "width", "too many"],
)
def test_names_that_one_call_cannot_give_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="RunInstances"):
        sequence(names)


def test_no_stock_is_for_the_next_candidate() -> None:
    bench = Bench(Script(RunInstances=[refused("OperationDenied.NoStock")]))
    with pytest.raises(NoCapacityError):
        bench.cloud.run_instances(request(), TAGS, "token")


def test_a_lost_answer_is_asked_for_with_the_same_token() -> None:
    lost = Fault("", "the answer takes too long")
    bench = Bench(Script(RunInstances=[lost, refused("IdempotentProcessing"), RAN]))
    assert bench.cloud.run_instances(request(), TAGS, "token") == ["i-1", "i-2"]
    asked = bench.script.asked("RunInstances")
    assert len(asked) == 3
    assert asked[0] == asked[1] == asked[2]


def test_a_dry_run_that_passes_is_silent() -> None:
    """The service's word for "it would work" is an error code."""
    bench = Bench(Script(RunInstances=[refused("DryRunOperation", 400)]))
    bench.cloud.check_run_instances(request(), TAGS)
    (asked,) = bench.script.asked("RunInstances")
    assert asked["DryRun"] is True
    assert "ClientToken" not in asked


def test_a_dry_run_raises_what_the_run_would() -> None:
    bench = Bench(Script(RunInstances=[refused("OperationDenied.NoStock")]))
    with pytest.raises(NoCapacityError):
        bench.cloud.check_run_instances(request(), TAGS)


def test_what_is_changed_in_place_is_changed_one_by_one() -> None:
    answer = {"RequestId": "r"}
    bench = Bench(
        Script(
            ModifyInstanceAttribute=[answer, answer],
            ModifyInstanceAutoReleaseTime=[answer, answer],
            ModifyInstanceNetworkSpec=[answer],
        )
    )
    bench.cloud.set_deletion_protection(["i-1", "i-2"], True)
    bench.cloud.set_auto_release(["i-1"], datetime(2026, 11, 25, 12, 30, tzinfo=UTC))
    bench.cloud.set_auto_release(["i-1"], None)
    bench.cloud.set_bandwidth(["i-1"], 5)
    assert bench.script.calls == [
        ("ModifyInstanceAttribute", {"InstanceId": "i-1", "DeletionProtection": True}),
        ("ModifyInstanceAttribute", {"InstanceId": "i-2", "DeletionProtection": True}),
        (
            "ModifyInstanceAutoReleaseTime",
            {"RegionId": "cn-hangzhou", "InstanceId": "i-1", "AutoReleaseTime": "2026-11-25T12:30:00Z"},
        ),
        ("ModifyInstanceAutoReleaseTime", {"RegionId": "cn-hangzhou", "InstanceId": "i-1"}),
        (
            "ModifyInstanceNetworkSpec",
            {"InstanceId": "i-1", "InternetMaxBandwidthOut": 5, "NetworkChargeType": "PayByTraffic"},
        ),
    ]


def test_a_name_is_changed_by_itself() -> None:
    bench = Bench(Script(ModifyInstanceAttribute=[{}]))
    bench.cloud.set_name("i-1", "demo-001")
    assert bench.script.calls == [("ModifyInstanceAttribute", {"InstanceId": "i-1", "InstanceName": "demo-001"})]


@pytest.mark.parametrize(
    ("kind", "type_", "untag", "most"),
    [
        ("vpc", "VPC", "UnTagResources", 20),
        ("vswitch", "VSWITCH", "UnTagResources", 20),
        ("eip", "EIP", "UnTagResources", 20),
        ("security-group", "securitygroup", "UntagResources", 50),
        ("key-pair", "keypair", "UntagResources", 50),
        ("instance", "instance", "UntagResources", 50),
        ("disk", "disk", "UntagResources", 50),
    ],
)
def test_tags_are_changed_batch_by_batch(kind: Kind, type_: str, untag: str, most: int) -> None:
    """VPC's actions take fewer ids than ECS's, and one of them is spelt otherwise."""
    bench = Bench(Script(**{"TagResources": [{}], untag: [{}]}))
    ids = [f"id-{number}" for number in range(most + 1)]
    bench.cloud.tag(kind, ids, {"team": "a"})
    bench.cloud.untag(kind, ids[:1], ["old", "older"])
    about = {"RegionId": "cn-hangzhou", "ResourceType": type_}
    tags = [{"Key": "team", "Value": "a"}]
    assert bench.script.calls == [
        ("TagResources", {**about, "ResourceId": ids[:most], "Tag": tags}),
        ("TagResources", {**about, "ResourceId": ids[most:], "Tag": tags}),
        (untag, {**about, "ResourceId": ids[:1], "TagKey": ["old", "older"]}),
    ]


# --------------------------------------------------------------------------------------------------------- find


FOUND = {
    "vpc": (
        "DescribeVpcs",
        {
            "Vpcs": {"Vpc": [{"VpcId": "vpc-1", "VpcName": "demo", "Status": "Available", "Tags": VPC_TAGS}]},
            "TotalCount": 1,
        },
        Resource("vpc", "vpc-1", "demo", "Available", TAGS),
    ),
    "vswitch": (
        "DescribeVSwitches",
        {
            "VSwitches": {
                "VSwitch": [
                    {"VSwitchId": "vsw-1", "VSwitchName": "demo", "Status": "Pending", "ZoneId": "z", "Tags": VPC_TAGS}
                ]
            },
            "TotalCount": 1,
        },
        Resource("vswitch", "vsw-1", "demo", "Pending", TAGS, "z"),
    ),
    "security-group": (
        "DescribeSecurityGroups",
        {
            "SecurityGroups": {
                "SecurityGroup": [{"SecurityGroupId": "sg-1", "SecurityGroupName": "demo", "Tags": ECS_TAGS}]
            }
        },
        Resource("security-group", "sg-1", "demo", "", TAGS),
    ),
    "key-pair": (
        "DescribeKeyPairs",
        {"KeyPairs": {"KeyPair": [{"KeyPairName": "demo", "Tags": ECS_TAGS}]}, "TotalCount": 1},
        Resource("key-pair", "demo", "demo", "", TAGS),
    ),
    "instance": (
        "DescribeInstances",
        {
            "Instances": {
                "Instance": [
                    {
                        "InstanceId": "i-1",
                        "InstanceName": "demo-001",
                        "Status": "Running",
                        "ZoneId": "z",
                        "Tags": ECS_TAGS,
                    }
                ]
            }
        },
        Resource("instance", "i-1", "demo-001", "Running", TAGS, "z"),
    ),
    "disk": (
        "DescribeDisks",
        {"Disks": {"Disk": [{"DiskId": "d-1", "DiskName": "", "Status": "In_use", "ZoneId": "z", "Tags": ECS_TAGS}]}},
        Resource("disk", "d-1", "", "In_use", TAGS, "z"),
    ),
    "eip": (
        "DescribeEipAddresses",
        {
            "EipAddresses": {
                "EipAddress": [{"AllocationId": "eip-1", "Name": "x", "Status": "InUse", "Tags": VPC_TAGS}]
            },
            "TotalCount": 1,
        },
        Resource("eip", "eip-1", "x", "InUse", TAGS),
    ),
}


@pytest.mark.parametrize("kind", FOUND)
def test_find(kind: Any) -> None:
    action, answer, wanted = FOUND[kind]
    bench = Bench(Script(**{action: [answer]}))
    assert bench.cloud.find(kind, TAGS) == [wanted]
    assert bench.script.calls[0][1]["Tag"] == ASKED_TAGS


@pytest.mark.parametrize("kind", FOUND)
def test_a_stranger_in_the_answer_is_an_error(kind: Any) -> None:
    """What is found by tag may be deleted next: a filter that was not honoured must not pass."""
    action, answer, _ = FOUND[kind]
    bench = Bench(Script(**{action: [answer]}))
    with pytest.raises(CloudUnavailableError, match="does not carry"):
        bench.cloud.find(kind, {"provisioner:name": "another"})


def test_instances() -> None:
    answer = {
        "Instances": {
            "Instance": [
                {
                    "InstanceId": "i-1",
                    "InstanceName": "demo-001",
                    "Status": "Running",
                    "InstanceType": "ecs.hfc7.large",
                    "ZoneId": "cn-hangzhou-i",
                    "PublicIpAddress": {"IpAddress": ["203.0.113.1"]},
                    "VpcAttributes": {"PrivateIpAddress": {"IpAddress": ["172.16.0.1"]}},
                    "CreationTime": "2026-11-23T08:30Z",
                    "AutoReleaseTime": "2026-11-23T14:30:00Z",
                    "SpotStrategy": "SpotAsPriceGo",
                    "DeletionProtection": True,
                    "Tags": ECS_TAGS,
                },
                {
                    "InstanceId": "i-2",
                    "Status": "Pending",
                    "CreationTime": "2026-11-23T08:30Z",
                    "AutoReleaseTime": "",
                    "EipAddress": {"IpAddress": "203.0.113.2", "AllocationId": "eip-1"},
                    "Tags": ECS_TAGS,
                },
            ]
        }
    }
    first, second = Bench(Script(DescribeInstances=[answer])).cloud.instances(TAGS)
    assert (first.public_ip, first.private_ip) == ("203.0.113.1", "172.16.0.1")
    assert first.created_at == datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    assert first.auto_release_at == datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert first.spot
    assert first.deletion_protection
    assert first.tags == TAGS
    assert (second.public_ip, second.private_ip, second.auto_release_at) == ("203.0.113.2", "", None)
    assert not second.spot


# ------------------------------------------------------------------------------------------------------ network


def vpcs(*states: str) -> list[Any]:
    return [
        {"Vpcs": {"Vpc": [{"VpcId": "vpc-1", "Status": state}] if state else []}, "TotalCount": 1 if state else 0}
        for state in states
    ]


def test_a_vpc_is_waited_for_also_while_it_is_not_listed_yet() -> None:
    bench = Bench(Script(CreateVpc=[{"VpcId": "vpc-1"}], DescribeVpcs=vpcs("", "Pending", "Available")))
    assert bench.cloud.create_vpc("demo", "172.16.0.0/16", TAGS, "token") == "vpc-1"
    assert bench.script.asked("CreateVpc") == [
        {
            "RegionId": "cn-hangzhou",
            "VpcName": "demo",
            "CidrBlock": "172.16.0.0/16",
            "Tag": ASKED_TAGS,
            "ClientToken": "token",
        }
    ]
    assert len(bench.script.asked("DescribeVpcs")) == 3
    assert bench.told == ["waiting for vpc-1 to be available: Pending"]


def test_a_vpc_that_never_comes_is_a_deadline() -> None:
    bench = Bench(Script(CreateVpc=[{"VpcId": "vpc-1"}], DescribeVpcs=vpcs("Pending")))
    with pytest.raises(DeadlineError, match="vpc-1"):
        bench.cloud.create_vpc("demo", "172.16.0.0/16", TAGS, "token")


def test_a_vswitch_retries_while_its_vpc_is_busy() -> None:
    listed = {"VSwitches": {"VSwitch": [{"VSwitchId": "vsw-1", "Status": "Available"}]}, "TotalCount": 1}
    bench = Bench(
        Script(
            CreateVSwitch=[refused("IncorrectVpcStatus", 400), refused("TaskConflict", 400), {"VSwitchId": "vsw-1"}],
            DescribeVSwitches=[listed],
        )
    )
    assert bench.cloud.create_vswitch("vpc-1", "cn-hangzhou-i", "172.16.0.0/24", "demo", TAGS, "t") == "vsw-1"
    assert {call["ClientToken"] for call in bench.script.asked("CreateVSwitch")} == {"t"}


def test_rules_go_in_and_come_out_alike() -> None:
    rules = [
        IngressRule("tcp", "22/22", "203.0.113.7/32", "SSH"),
        IngressRule("tcp", "22/22", "2001:db8::/64"),
        IngressRule("all", "-1/-1", "sg-2"),
    ]
    bench = Bench(Script(AuthorizeSecurityGroup=[{}], RevokeSecurityGroup=[{}]))
    bench.cloud.authorize("sg-1", rules)
    bench.cloud.revoke("sg-1", rules[:1])
    (put,), (taken,) = bench.script.asked("AuthorizeSecurityGroup"), bench.script.asked("RevokeSecurityGroup")
    ssh = {"IpProtocol": "TCP", "PortRange": "22/22", "SourceCidrIp": "203.0.113.7/32", "Description": "SSH"}
    assert put["Permissions"] == [
        ssh,
        {"IpProtocol": "TCP", "PortRange": "22/22", "Ipv6SourceCidrIp": "2001:db8::/64"},
        {"IpProtocol": "ALL", "PortRange": "-1/-1", "SourceGroupId": "sg-2"},
    ]
    assert taken["Permissions"] == [ssh]

    kept = [{**permission, "Policy": "Accept", "Direction": "ingress"} for permission in put["Permissions"]]
    dropped = {**ssh, "Policy": "Drop", "Direction": "ingress"}
    out = {**ssh, "Policy": "Accept", "Direction": "egress"}
    answer = {"Permissions": {"Permission": [*kept, dropped, out]}}
    assert Bench(Script(DescribeSecurityGroupAttribute=[answer])).cloud.ingress_rules("sg-1") == rules


def test_no_rules_are_no_call() -> None:
    bench = Bench(Script())
    bench.cloud.authorize("sg-1", [])
    assert bench.script.calls == []


KEY = "ssh-ed25519 AAAAC3 demo@here"


@pytest.mark.parametrize(("there", "fine"), [("ssh-ed25519 AAAAC3 other comment", True), ("ssh-ed25519 AAAAXX", False)])
def test_a_key_pair_that_is_there_must_hold_the_same_key(there: str, fine: bool) -> None:
    """ImportKeyPair has no ClientToken: this is also what makes its retry after a lost answer safe."""
    listed = {"KeyPairs": {"KeyPair": [{"KeyPairName": "demo", "PublicKey": there}]}, "TotalCount": 1}
    exists = refused("KeyPair.AlreadyExist", 400)
    bench = Bench(Script(ImportKeyPair=[Fault("", "lost"), exists], DescribeKeyPairs=[listed]))
    if fine:
        assert bench.cloud.import_key_pair("demo", KEY, TAGS) == "demo"
    else:
        with pytest.raises(CloudRefusedError) as caught:
            bench.cloud.import_key_pair("demo", KEY, TAGS)
        assert "another key" in caught.value.remedy


# ----------------------------------------------------------------------------------------------------- deleting


class Instances:
    """Instances that vanish some looks after DeleteInstances."""

    def __init__(self, *ids: str, protected: tuple[str, ...] = (), looks: int = 2) -> None:
        self.there = dict.fromkeys(ids, "Running")
        self.protected = set(protected)
        self.looks = looks
        self.ending = False

    def describe(self, parameters: Any) -> Any:
        if self.ending:
            self.looks -= 1
            if self.looks < 0:
                self.there.clear()
        asked = json.loads(parameters["InstanceIds"])
        return {
            "Instances": {
                "Instance": [
                    {"InstanceId": id_, "Status": state, "DeletionProtection": id_ in self.protected}
                    for id_, state in self.there.items()
                    if id_ in asked
                ]
            }
        }

    def modify(self, parameters: Any) -> Any:
        self.protected.discard(parameters["InstanceId"])
        return {}

    def delete(self, parameters: Any) -> Any:
        if self.protected & set(parameters["InstanceId"]):
            return refused("InvalidOperation.DeletionProtection")
        if not set(parameters["InstanceId"]) <= set(self.there):
            return refused("InvalidInstanceId.NotFound", 404)
        self.there = dict.fromkeys(self.there, "Stopping")
        self.ending = True
        return {}

    def bench(self) -> Bench:
        return Bench(
            Script(DescribeInstances=self.describe, ModifyInstanceAttribute=self.modify, DeleteInstances=self.delete)
        )


def test_instances_are_deleted_by_force_in_one_call_and_waited_for() -> None:
    bench = Instances("i-1", "i-2").bench()
    assert bench.cloud.delete("instance", ["i-1", "i-2"]) == ["i-1", "i-2"]
    assert bench.script.asked("DeleteInstances") == [
        {"RegionId": "cn-hangzhou", "InstanceId": ["i-1", "i-2"], "Force": True}
    ]
    assert "waiting for 2 of 2 instances to be gone: Stopping" in bench.told


def test_protection_is_taken_off() -> None:
    bench = Instances("i-1", "i-2", protected=("i-2",)).bench()
    bench.cloud.delete("instance", ["i-1", "i-2"])
    assert {"InstanceId": "i-2", "DeletionProtection": False} in bench.script.asked("ModifyInstanceAttribute")
    assert len(bench.script.asked("DeleteInstances")) == 2


def test_one_that_is_gone_does_not_spare_the_others() -> None:
    """A batch is refused whole for one instance that is not found; then each is asked for by itself."""
    instances = Instances("i-2", "i-3")
    bench = instances.bench()
    assert bench.cloud.delete("instance", ["i-1", "i-2", "i-3"]) == ["i-2", "i-3"]
    asked = [call["InstanceId"] for call in bench.script.asked("DeleteInstances")]
    assert asked == [["i-1", "i-2", "i-3"], ["i-1"], ["i-2"], ["i-3"]]
    assert instances.there == {}


def test_an_instance_that_is_not_listed_yet_is_deleted_all_the_same() -> None:
    """What is listed lags behind what is there: an id is asked for whether it is listed or not."""
    bench = Instances("i-1").bench()
    bench.script.answers["DescribeInstances"] = [{"Instances": {}}]
    bench.cloud.delete("instance", ["i-1"])
    assert len(bench.script.asked("DeleteInstances")) == 1


def test_two_hundred_and_fifty_instances_go_in_three_batches() -> None:
    ids = [f"i-{number}" for number in range(250)]
    bench = Instances(*ids, looks=9).bench()
    bench.cloud.delete("instance", ids)
    assert [len(call["InstanceId"]) for call in bench.script.asked("DeleteInstances")] == [100, 100, 50]


def test_an_instance_that_is_still_initializing_is_asked_again() -> None:
    instances = Instances("i-1")
    bench = instances.bench()
    answers = [refused("IncorrectInstanceStatus.Initializing")] * 3
    bench.script.answers["DeleteInstances"] = lambda asked: answers.pop() if answers else instances.delete(asked)
    bench.cloud.delete("instance", ["i-1"])
    assert len(bench.script.asked("DeleteInstances")) == 4


def test_an_instance_that_stays_is_a_deadline() -> None:
    bench = Instances("i-1", looks=10**6).bench()
    with pytest.raises(DeadlineError, match="i-1 \\(Stopping\\)"):
        bench.cloud.delete("instance", ["i-1"])
    assert bench.clock.monotonic() >= DELETE_S


EMPTY = {
    "vpc": ("DeleteVpc", "DescribeVpcs", {"Vpcs": {"Vpc": []}}, {"VpcId": "x-1"}),
    "vswitch": ("DeleteVSwitch", "DescribeVSwitches", {"VSwitches": {"VSwitch": []}}, {"VSwitchId": "x-1"}),
    "security-group": (
        "DeleteSecurityGroup",
        "DescribeSecurityGroups",
        {"SecurityGroups": {"SecurityGroup": []}},
        {"SecurityGroupId": "x-1"},
    ),
    "key-pair": ("DeleteKeyPairs", "DescribeKeyPairs", {"KeyPairs": {"KeyPair": []}}, {"KeyPairNames": '["x-1"]'}),
    "disk": ("DeleteDisk", "DescribeDisks", {"Disks": {"Disk": []}}, {"DiskId": "x-1"}),
    "eip": ("ReleaseEipAddress", "DescribeEipAddresses", {"EipAddresses": {"EipAddress": []}}, {"AllocationId": "x-1"}),
}
IN_THE_WAY = {
    "vpc": "DependencyViolation.VSwitch",
    "vswitch": "IncorrectVSwitchStatus",
    "security-group": "DependencyViolation",
    "key-pair": "Throttling.User",
    "disk": "IncorrectDiskStatus.Initializing",
    "eip": "IncorrectEipStatus",
}


@pytest.mark.parametrize("kind", EMPTY)
def test_delete_retries_what_is_in_the_way(kind: Any) -> None:
    delete, describe, nothing, asked = EMPTY[kind]
    bench = Bench(Script(**{delete: [refused(IN_THE_WAY[kind], 400)] * 3 + [{}], describe: [nothing]}))
    bench.cloud.delete(kind, ["x-1"])
    calls = bench.script.asked(delete)
    assert len(calls) == 4
    assert asked.items() <= calls[0].items()
    assert bench.script.calls[-1][0] == describe


GONE = {
    "vpc": "InvalidVpcId.NotFound",
    "vswitch": "InvalidVSwitchId.NotFound",
    "security-group": "InvalidSecurityGroupId.NotFound",
    "disk": "InvalidDiskId.NotFound",
    "eip": "InvalidAllocationId.NotFound",
}


@pytest.mark.parametrize("kind", EMPTY)
def test_what_is_not_there_is_no_error_and_not_called_deleted(kind: Any) -> None:
    """The service's own answer decides; for key pairs, which it answers alike, what it listed before."""
    delete, describe, nothing, _ = EMPTY[kind]
    gone = refused(GONE[kind], 404) if kind in GONE else {}
    bench = Bench(Script(**{delete: [gone], describe: [nothing]}))
    assert bench.cloud.delete(kind, ["x-1"]) == []
    assert len(bench.script.asked(delete)) == 1


def test_a_key_pair_that_was_there_is_deleted() -> None:
    listed = {"KeyPairs": {"KeyPair": [{"KeyPairName": "x-1"}]}, "TotalCount": 1}
    nothing = {"KeyPairs": {"KeyPair": []}, "TotalCount": 0}
    bench = Bench(Script(DeleteKeyPairs=[{}], DescribeKeyPairs=[listed, nothing]))
    assert bench.cloud.delete("key-pair", ["x-1"]) == ["x-1"]


@pytest.mark.parametrize("kind", EMPTY)
def test_nothing_to_delete_is_no_call(kind: Any) -> None:
    bench = Bench(Script())
    bench.cloud.delete(kind, [])
    assert bench.script.calls == []


def test_one_that_is_refused_does_not_keep_the_others() -> None:
    """All are tried; the refusal is raised in the end."""

    def delete(parameters: Any) -> Any:
        return refused("Forbidden.RAM") if parameters["VSwitchId"] == "vsw-1" else {}

    bench = Bench(Script(DeleteVSwitch=delete))
    with pytest.raises(CloudRefusedError, match="vsw-1"):
        bench.cloud.delete("vswitch", ["vsw-1", "vsw-2"])
    assert [call["VSwitchId"] for call in bench.script.asked("DeleteVSwitch")] == ["vsw-1", "vsw-2"]


def test_what_may_be_held_by_something_that_stays_is_not_tried_for_long() -> None:
    """And it is said why: ten minutes for each of a network's parts would help nobody."""
    bench = Bench(
        Script(
            DeleteInstances=[refused("Forbidden.RAM")],
            DeleteSecurityGroup=[refused("DependencyViolation", 400)],
            DeleteVpc=[refused("DependencyViolation.VSwitch", 400)],
        )
    )
    with pytest.raises(CloudRefusedError):
        bench.cloud.delete("instance", ["i-1"])
    for kind in ("security-group", "vpc"):
        began = bench.clock.monotonic()
        with pytest.raises(CloudError, match="DependencyViolation"):
            bench.cloud.delete(kind, ["x-1"])
        assert 10 < bench.clock.monotonic() - began <= HINDERED_S
        assert f"{kind} x-1: it may be held by what could not be deleted (instance): tried for 30 s" in bench.told


def test_an_address_in_use_is_taken_off_its_instance_first() -> None:
    used = {"AllocationId": "eip-1", "InstanceId": "i-1", "InstanceType": "EcsInstance", "Status": "InUse"}
    bench = Bench(
        Script(
            DescribeEipAddresses=[
                {"EipAddresses": {"EipAddress": [used]}, "TotalCount": 1},
                {"EipAddresses": {"EipAddress": []}, "TotalCount": 0},
            ],
            UnassociateEipAddress=[{}],
            ReleaseEipAddress=[{}],
        )
    )
    bench.cloud.delete("eip", ["eip-1"])
    names = [name for name, _ in bench.script.calls]
    assert names.index("UnassociateEipAddress") < names.index("ReleaseEipAddress")


# -------------------------------------------------------------------------------------------------- run_command


def agents(*ready: str) -> dict[str, Any]:
    listed = [{"InstanceId": id_, "CloudAssistantStatus": str(id_ in ready).lower()} for id_ in ("i-1", "i-2")]
    return {"InstanceCloudAssistantStatusSet": {"InstanceCloudAssistantStatus": listed}}


def results(*items: tuple[str, str, int | None, str, str]) -> dict[str, Any]:
    names = ("InstanceId", "InvocationStatus", "ExitCode", "Output", "ErrorCode")
    return {
        "Invocation": {
            "InvocationResults": {
                "InvocationResult": [
                    dict(zip(names, (*item[:3], base64.b64encode(item[3].encode()).decode(), item[4]), strict=True))
                    for item in items
                ]
            }
        }
    }


def test_a_command_waits_for_agents_and_for_every_result() -> None:
    bench = Bench(
        Script(
            DescribeCloudAssistantStatus=[agents(), agents("i-1"), agents("i-1", "i-2")],
            RunCommand=[{"InvokeId": "t-1"}],
            DescribeInvocationResults=[
                {"Invocation": {"InvocationResults": {}}},
                results(("i-1", "Success", 0, "key é\n", ""), ("i-2", "Running", None, "", "")),
                results(("i-1", "Success", 0, "key é\n", ""), ("i-2", "Failed", 3, "no\n", "")),
            ],
        )
    )
    assert bench.cloud.run_command(["i-1", "i-2"], "cat key") == {
        "i-1": CommandResult("i-1", "Success", 0, "key é\n"),
        "i-2": CommandResult("i-2", "Failed", 3, "no\n"),
    }
    (asked,) = bench.script.asked("RunCommand")
    assert base64.b64decode(asked["CommandContent"]) == b"cat key"
    assert (asked["ContentEncoding"], asked["InstanceId"]) == ("Base64", ["i-1", "i-2"])
    # Whoever has its agent is not asked for again.
    assert bench.script.asked("DescribeCloudAssistantStatus")[-1]["InstanceId"] == ["i-2"]


def test_an_agent_that_was_away_gets_the_command_again() -> None:
    bench = Bench(
        Script(
            DescribeCloudAssistantStatus=[agents("i-1", "i-2")],
            RunCommand=[{"InvokeId": "t-1"}],
            DescribeInvocationResults=[
                results(("i-1", "Success", 0, "a", ""), ("i-2", "Aborted", 0, "", "ClientNotRunning")),
                results(("i-2", "Success", 0, "b", "")),
            ],
        )
    )
    found = bench.cloud.run_command(["i-1", "i-2"], "true")
    assert {id_: result.output for id_, result in found.items()} == {"i-1": "a", "i-2": "b"}
    first, second = bench.script.asked("RunCommand")
    assert second["InstanceId"] == ["i-2"]
    assert first["ClientToken"] != second["ClientToken"]


def test_an_agent_that_never_starts_is_a_deadline() -> None:
    bench = Bench(Script(DescribeCloudAssistantStatus=[agents("i-1")]))
    with pytest.raises(DeadlineError, match="i-2"):
        bench.cloud.run_command(["i-1", "i-2"], "true")


def test_a_hundred_instances_get_a_command_in_few_calls() -> None:
    """Nothing is called for each instance: 2 looks at agents, 1 command, 2 pages of results."""
    ids = [f"i-{number:03d}" for number in range(100)]

    def status(parameters: Any) -> Any:
        listed = [{"InstanceId": id_, "CloudAssistantStatus": "true"} for id_ in parameters["InstanceId"]]
        return {"InstanceCloudAssistantStatusSet": {"InstanceCloudAssistantStatus": listed}}

    def page(parameters: Any) -> Any:
        start = int(parameters.get("NextToken", "0"))
        answer = results(*((id_, "Success", 0, "x", "") for id_ in ids[start : start + parameters["MaxResults"]]))
        answer["Invocation"]["NextToken"] = str(start + 50) if start + 50 < 100 else ""
        return answer

    bench = Bench(
        Script(DescribeCloudAssistantStatus=status, RunCommand=[{"InvokeId": "t"}], DescribeInvocationResults=page)
    )
    assert len(bench.cloud.run_command(ids, "true")) == 100
    assert len(bench.script.calls) == 5


# ------------------------------------------------------------------------------------------------------- offers


def available(*offers: tuple[str, str, str, str]) -> dict[str, Any]:
    """(zone, type, status, category) as DescribeAvailableResource gives them."""
    zones: dict[str, list[dict[str, str]]] = {}
    for zone, name, status, category in offers:
        zones.setdefault(zone, []).append({"Value": name, "Status": status, "StatusCategory": category})
    return {
        "AvailableZones": {
            "AvailableZone": [
                {
                    "ZoneId": zone,
                    "AvailableResources": {
                        "AvailableResource": [
                            {"Type": "InstanceType", "SupportedResources": {"SupportedResource": resources}}
                        ]
                    },
                }
                for zone, resources in zones.items()
            ]
        }
    }


def test_stock_of_several_types_is_one_call() -> None:
    answer = available(
        ("z-c", "a", "Available", "ClosedWithStock"),
        ("z-d", "a", "Available", "WithStock"),
        ("z-b", "a", "SoldOut", "WithoutStock"),
        ("z-b", "other", "Available", "WithStock"),
        ("z-d", "b", "Available", "WithoutStock"),
    )
    bench = Bench(Script(DescribeAvailableResource=[answer]))
    assert bench.cloud.stock(["a", "b"]) == {"a": ["z-d", "z-c"], "b": []}
    (asked,) = bench.script.asked("DescribeAvailableResource")
    assert "InstanceType" not in asked
    assert asked["SpotStrategy"] == "NoSpot"


def test_no_stock_anywhere_is_an_empty_list() -> None:
    """The service then leaves AvailableZones out."""
    bench = Bench(Script(DescribeAvailableResource=[{}]))
    assert bench.cloud.stock(["a"], spot=True) == {"a": []}
    (asked,) = bench.script.asked("DescribeAvailableResource")
    assert (asked["InstanceType"], asked["SpotStrategy"]) == ("a", "SpotAsPriceGo")


def test_zones() -> None:
    answer = {"Zones": {"Zone": [{"ZoneId": "z-b"}, {"ZoneId": "z-a"}]}}
    assert Bench(Script(DescribeZones=[answer])).cloud.zones() == ["z-a", "z-b"]


def test_zones_that_take_no_instances_or_no_vswitches_are_left_out() -> None:
    """Only the detailed answer says so."""
    creates = {"z-a": ["Disk", "Instance", "VSwitch"], "z-b": ["Disk"], "z-c": ["Instance"], "z-d": ["VSwitch"]}
    zones = [{"ZoneId": z, "AvailableResourceCreation": {"ResourceTypes": types}} for z, types in creates.items()]
    bench = Bench(Script(DescribeZones=[{"Zones": {"Zone": zones}}]))
    assert bench.cloud.zones() == ["z-a"]
    assert bench.script.calls[0][1]["Verbose"] is True


def test_types_are_asked_for_ten_at_a_time_and_all_pages_are_read() -> None:
    """Since 2023-11-15 the service gives only the first page unless asked for more."""
    names = [f"ecs.x.{number}" for number in range(12)]

    def describe(parameters: Any) -> Any:
        known = [
            {
                "InstanceTypeId": name,
                "CpuCoreCount": 96,
                "MemorySize": 192.0,
                "CpuArchitecture": "X86",
                "PhysicalProcessorModel": "Intel Xeon",
                **({"CpuOptions": {"ThreadsPerCore": 2}} if name == "ecs.x.0" else {}),
            }
            for name in parameters["InstanceTypes"]
            if name != "ecs.x.3"
        ]
        first = "NextToken" not in parameters
        return {"InstanceTypes": {"InstanceType": known[:5] if first else known[5:]}, "NextToken": "2" if first else ""}

    found = Bench(Script(DescribeInstanceTypes=describe)).cloud.type_offers(names)
    assert {offer.instance_type for offer in found} == set(names) - {"ecs.x.3"}
    assert found[0] == TypeOffer("ecs.x.0", 96, 192.0, "Intel Xeon", "x86_64", threads_per_core=2)
    assert found[1].threads_per_core == 0, "not told"


def test_the_newest_image_is_taken() -> None:
    images = [
        {"ImageId": "old", "ImageFamily": "f", "ImageName": "o", "Size": 20, "CreationTime": "2025-01-17T00:00:00Z"},
        {"ImageId": "new", "ImageFamily": "f", "ImageName": "n", "Size": 40, "CreationTime": "2026-05-13T00:00:00Z"},
        {"ImageId": "mid", "ImageFamily": "f", "ImageName": "m", "Size": 20, "CreationTime": "2025-10-30T00:00:00Z"},
    ]
    bench = Bench(Script(DescribeImages=[{"Images": {"Image": images}, "TotalCount": 3}]))
    assert bench.cloud.newest_image("f", "ecs.x") == Image("new", "f", "n", 40, "2026-05-13T00:00:00Z")
    assert bench.script.calls[0][1]["ImageOwnerAlias"] == "system"


def test_a_family_without_images_for_a_type_leads_to_the_next_type() -> None:
    with pytest.raises(TypeRefusedError, match=r"cloud\.image_family"):
        Bench(Script(DescribeImages=[{"Images": {}, "TotalCount": 0}])).cloud.newest_image("f", "ecs.x")


def test_price() -> None:
    answer = {"PriceInfo": {"Price": {"TradePrice": 15.2, "OriginalPrice": 20, "Currency": "CNY"}}}
    bench = Bench(Script(DescribePrice=[answer]))
    assert bench.cloud.price(request(spot=SpotSpec(price_limit_per_hour=1))) == Price(15.2, "CNY")
    (asked,) = bench.script.asked("DescribePrice")
    assert asked["SpotStrategy"] == "SpotWithPriceLimit"
    assert "SpotPriceLimit" not in asked
    assert asked["SystemDisk"] == {"Category": "cloud_essd", "PerformanceLevel": "PL1", "Size": 100}


def test_caller_identity() -> None:
    bench = Bench(Script(GetCallerIdentity=[{"AccountId": "1", "Arn": "acs:ram::1:user/x"}]))
    assert bench.cloud.caller_identity() == Identity("1", "acs:ram::1:user/x")
    assert bench.script.calls == [("GetCallerIdentity", {})]


def test_the_account_is_asked_for_once() -> None:
    bench = Bench(Script(GetCallerIdentity=[{"AccountId": "1", "Arn": "acs:ram::1:user/x"}]))
    assert (bench.cloud.account_id, bench.cloud.account_id) == ("1", "1")
    assert len(bench.script.calls) == 1
