"""Instances: how they come, move in time, are seen, and go."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.simulator.client import Client, Refused
from tests.simulator.conftest import FakeClock

Simulate = Callable[..., Client]


def states(client: Client) -> list[str]:
    return [instance["Status"] for instance in client.instances()]


def utc(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def settled_network(client: Client, clock: FakeClock, zone: str = "cn-hangzhou-i") -> dict[str, str]:
    vpc = client.call("CreateVpc", CidrBlock="10.0.0.0/16")["VpcId"]
    clock.time += 10
    switch = client.call("CreateVSwitch", VpcId=vpc, ZoneId=zone, CidrBlock="10.0.1.0/24")["VSwitchId"]
    clock.time += 10
    group = client.call("CreateSecurityGroup", VpcId=vpc)["SecurityGroupId"]
    return {"vpc": vpc, "switch": switch, "group": group}


def test_start_takes_its_time(simulate: Simulate, clock: FakeClock) -> None:
    """Pending, a short Stopped, Starting, Running: a second in all at pace 1."""
    client = simulate(pace=1, clock=clock)
    client.launch(settled_network(client, clock))
    seen = []
    for _ in range(12):
        seen += [state for state in states(client) if state not in seen[-1:]]
        clock.time += 0.1
    assert seen == ["Pending", "Stopped", "Starting", "Running"]


def test_pace(simulate: Simulate, clock: FakeClock) -> None:
    """30 is about the real service: half a minute."""
    client = simulate(pace=30, clock=clock)
    vpc = client.call("CreateVpc", CidrBlock="10.0.0.0/16")["VpcId"]
    with pytest.raises(Refused, match="IncorrectVpcStatus"):
        client.call("CreateVSwitch", VpcId=vpc, ZoneId="cn-hangzhou-i", CidrBlock="10.0.1.0/24")
    network = settled_network(client, clock)
    switch = client.call("CreateVSwitch", VpcId=network["vpc"], ZoneId="cn-hangzhou-i", CidrBlock="10.0.2.0/24")
    with pytest.raises(Refused, match="IncorrectVSwitchStatus"):
        client.launch({**network, "switch": switch["VSwitchId"]})
    client.launch(network)
    clock.time += 29
    assert states(client) == ["Starting"]
    clock.time += 2
    assert states(client) == ["Running"]


def test_time_can_be_moved(simulate: Simulate) -> None:
    """The admin clock moves states, and not the time that signatures are held against."""
    client = simulate(pace=1000)
    vpc = client.call("CreateVpc", CidrBlock="10.0.0.0/16")["VpcId"]
    assert client.call("DescribeVpcAttribute", VpcId=vpc)["Status"] == "Pending"
    client.http("POST", "/_simulator/clock", json.dumps({"advance_s": 100_000}).encode())
    assert client.call("DescribeVpcAttribute", VpcId=vpc)["Status"] == "Available"


def test_released_instances_linger(simulate: Simulate, clock: FakeClock) -> None:
    """A new instance cannot be released yet; of a released one, group, VSwitch and key hear a moment later."""
    client = simulate(pace=1, clock=clock)
    network = settled_network(client, clock)
    (instance,) = client.launch(network)
    with pytest.raises(Refused, match=r"403 IncorrectInstanceStatus\.Initializing"):
        client.call("DeleteInstance", InstanceId=instance, Force=True)
    clock.time += 2
    client.call("DeleteInstance", InstanceId=instance, Force=True)
    assert client.instances() == []
    for action, code, params in (
        ("DeleteSecurityGroup", "DependencyViolation", {"SecurityGroupId": network["group"]}),
        ("DeleteVSwitch", r"DependencyViolation\.Instance", {"VSwitchId": network["switch"]}),
    ):
        with pytest.raises(Refused, match=code):
            client.call(action, **params)
    clock.time += 0.5
    client.call("DeleteSecurityGroup", SecurityGroupId=network["group"])
    client.call("DeleteVSwitch", VSwitchId=network["switch"])
    with pytest.raises(Refused, match=r"DependencyViolation\.VSwitch"):
        client.call("DeleteVpc", VpcId=network["vpc"])
    clock.time += 0.5
    client.call("DeleteVpc", VpcId=network["vpc"])
    assert client.simulator.resources == []


def test_stop_start_reboot(simulate: Simulate, clock: FakeClock) -> None:
    """An instance goes through its states, and refuses what its state does not allow."""
    client = simulate(pace=1, clock=clock)
    (instance,) = client.launch(settled_network(client, clock))
    clock.time += 2
    (row,) = client.call("StopInstances", InstanceId_1=instance)["InstanceResponses"]["InstanceResponse"]
    assert (row["InstanceId"], row["PreviousStatus"], row["CurrentStatus"]) == (instance, "Running", "Stopping")
    with pytest.raises(Refused, match="IncorrectInstanceStatus"):
        client.call("StartInstance", InstanceId=instance)
    clock.time += 1
    assert states(client) == ["Stopped"]
    client.call("StartInstance", InstanceId=instance)
    assert states(client) == ["Starting"]
    clock.time += 1
    client.call("RebootInstance", InstanceId=instance)
    assert states(client) == ["Stopping"]
    clock.time += 1
    assert states(client) == ["Running"]


def test_created_instance_waits_to_be_started(client: Client) -> None:
    """CreateInstance makes one that stays Stopped and may be deleted as it is."""
    network = client.network()
    instance = client.call("CreateInstance", **client.request(network))["InstanceId"]
    assert (states(client), client.instances()[0]["PublicIpAddress"]["IpAddress"]) == (["Stopped"], [])
    client.call("DeleteInstance", InstanceId=instance)
    assert client.instances() == []


def test_deletion_protection(client: Client) -> None:
    """Protects from calls, until it is taken off."""
    (instance,) = client.launch(DeletionProtection=True)
    with pytest.raises(Refused, match=r"403 InvalidOperation\.DeletionProtection"):
        client.call("DeleteInstances", InstanceId_1=instance, Force=True)
    client.call("ModifyInstanceAttribute", InstanceId=instance, DeletionProtection=False, InstanceName="renamed")
    assert client.instances()[0]["InstanceName"] == "renamed"
    client.call("DeleteInstances", InstanceId_1=instance, Force=True)
    assert client.instances() == []


def test_many_are_deleted_together_or_not_at_all(client: Client) -> None:
    """One protected instance keeps the others of the call."""
    network = client.network()
    kept = client.launch(network, DeletionProtection=True) + client.launch(network)
    with pytest.raises(Refused, match="DeletionProtection"):
        client.call("DeleteInstances", InstanceId_1=kept[1], InstanceId_2=kept[0], Force=True)
    assert len(client.instances()) == 2


def test_auto_release(simulate: Simulate, clock: FakeClock) -> None:
    """When its time has come an instance goes, protected or not, without anybody calling."""
    client = simulate(clock=clock)
    clock.time -= clock.time % 60
    at = clock.time + 3600
    (instance,) = client.launch(AutoReleaseTime=utc(at + 59), DeletionProtection=True, Tag_1_Key="a")
    assert client.instances()[0]["AutoReleaseTime"] == utc(at)[:16] + "Z"
    client.call("ModifyInstanceAutoReleaseTime", InstanceId=instance, AutoReleaseTime=utc(at + 3600))
    clock.time = at + 10
    assert len(client.instances()) == 1
    clock.time = at + 3600
    assert "instance" not in {resource["kind"] for resource in client.simulator.resources}


def test_one_release_only(simulate: Simulate, clock: FakeClock) -> None:
    """A spot instance that is reclaimed in the moment of its own release goes once, and the simulator goes on."""
    client = simulate(clock=clock)
    clock.time -= clock.time % 60
    client.simulator.set_faults([{"action": "RunInstances", "kind": "reclaim", "delay_s": 3600}])
    client.launch(AutoReleaseTime=utc(clock.time + 3600), SpotStrategy="SpotAsPriceGo")
    clock.time += 3600
    assert client.instances() == []


def test_auto_release_can_be_taken_back(simulate: Simulate, clock: FakeClock) -> None:
    """Without a time, an instance is no longer released by itself."""
    client = simulate(clock=clock)
    (instance,) = client.launch(AutoReleaseTime=utc(clock.time + 3600))
    client.call("ModifyInstanceAutoReleaseTime", InstanceId=instance)
    clock.time += 10_000
    assert len(client.instances()) == 1


def test_the_bandwidth_of_a_running_instance_can_be_changed(simulate: Simulate, clock: FakeClock) -> None:
    """Not while it starts; 0 to 100 Mbit/s."""
    client = simulate(pace=1, clock=clock)
    (only,) = client.launch(settled_network(client, clock), InternetMaxBandwidthOut=5)
    with pytest.raises(Refused, match="403 IncorrectInstanceStatus"):
        client.call("ModifyInstanceNetworkSpec", InstanceId=only, InternetMaxBandwidthOut=20)
    clock.time += 600
    with pytest.raises(Refused, match=r"400 InvalidInternetMaxBandwidthOut\.ValueNotSupported"):
        client.call("ModifyInstanceNetworkSpec", InstanceId=only, InternetMaxBandwidthOut=101)
    with pytest.raises(Refused, match=r"404 InvalidInstanceId\.NotFound"):
        client.call("ModifyInstanceNetworkSpec", InstanceId="i-none", InternetMaxBandwidthOut=20)
    client.call("ModifyInstanceNetworkSpec", InstanceId=only, InternetMaxBandwidthOut=20)
    assert client.call("DescribeInstanceAttribute", InstanceId=only)["InternetMaxBandwidthOut"] == 20


@pytest.mark.parametrize(("least_s", "passes"), [(1860, True), (1799, False), (3 * 365 * 86400, True), (1e9, False)])
def test_auto_release_range(simulate: Simulate, clock: FakeClock, least_s: float, passes: bool) -> None:
    """Half an hour to three years ahead, rounded down to the minute."""
    client = simulate(clock=clock)
    if passes:
        assert client.launch(AutoReleaseTime=utc(clock.time + least_s))
    else:
        with pytest.raises(Refused, match="InvalidAutoReleaseTime"):
            client.launch(AutoReleaseTime=utc(clock.time + least_s))


def test_spot_reclaim(simulate: Simulate, clock: FakeClock) -> None:
    """A spot instance is told, then taken; one of its neighbours that is no spot instance stays."""
    fault = {"action": "RunInstances", "kind": "reclaim", "delay_s": 300, "times": 2}
    client = simulate(clock=clock, faults=[fault])
    network = client.network()
    client.launch(network, SpotStrategy="SpotAsPriceGo")
    client.launch(network)
    spot, plain = client.instances()
    assert (spot["OperationLocks"], plain["OperationLocks"]) == (
        {"LockReason": [{"LockReason": "Recycling"}]},
        {"LockReason": []},
    )
    clock.time += 301
    assert [instance["InstanceId"] for instance in client.instances()] == [plain["InstanceId"]]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"InstanceName": "bench[007,3]x"}, ["bench007x", "bench008x"]),
        ({"InstanceName": "bench", "UniqueSuffix": True}, ["bench001", "bench002"]),
        ({"InstanceName": "bench"}, ["bench", "bench"]),
    ],
)
def test_names(client: Client, params: dict[str, Any], names: list[str]) -> None:
    """Names count up when asked to."""
    client.launch(Amount=2, **params)
    assert [instance["InstanceName"] for instance in client.instances()] == names


def test_host_names(client: Client) -> None:
    """Each instance may have its own."""
    client.launch(Amount=2, HostNames_1="one", HostNames_2="two")
    assert [instance["HostName"] for instance in client.instances()] == ["one", "two"]


def test_everything_asked_for_is_shown(client: Client) -> None:
    """DescribeInstances gives back what RunInstances was told."""
    network = client.network()
    client.launch(
        network,
        InstanceType="ecs.hfc7.24xlarge",
        UserData=base64.b64encode(b"#!/bin/sh").decode(),
        Tag_1_Key="a",
        Tag_1_Value="b",
        CpuOptions_ThreadsPerCore=1,
        SpotStrategy="SpotWithPriceLimit",
        SpotPriceLimit=9.5,
    )
    (row,) = client.instances()
    assert row["Cpu"] == 48
    assert row["Memory"] == 192 * 1024
    assert (row["InstanceType"], row["InstanceTypeFamily"], row["ZoneId"]) == (
        "ecs.hfc7.24xlarge",
        "ecs.hfc7",
        "cn-hangzhou-i",
    )
    assert (row["SpotStrategy"], row["SpotPriceLimit"]) == ("SpotWithPriceLimit", 9.5)
    assert row["Tags"] == {"Tag": [{"TagKey": "a", "TagValue": "b"}]}
    assert row["SecurityGroupIds"] == {"SecurityGroupId": [network["group"]]}
    assert row["VpcAttributes"]["VpcId"] == network["vpc"]
    assert row["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0].startswith("10.0.1.")
    assert len(row["PublicIpAddress"]["IpAddress"]) == 1
    user_data = client.call("DescribeUserData", InstanceId=row["InstanceId"])["UserData"]
    assert base64.b64decode(user_data) == b"#!/bin/sh"


def test_no_bandwidth_no_public_address(client: Client) -> None:
    """InternetMaxBandwidthOut 0 gives none, and none can be had later."""
    (instance,) = client.launch(InternetMaxBandwidthOut=0)
    assert client.instances()[0]["PublicIpAddress"]["IpAddress"] == []
    with pytest.raises(Refused, match="AllocateIpInvalidInstanceBandwidth"):
        client.call("AllocatePublicIpAddress", InstanceId=instance)


def test_pages(client: Client) -> None:
    """By token and by number, every instance comes once; the last page says that it is the last."""
    ids = client.launch(Amount=25)
    seen: list[str] = []
    token = ""
    while True:
        page = client.call("DescribeInstances", MaxResults=10, **({"NextToken": token} if token else {}))
        seen += [instance["InstanceId"] for instance in page["Instances"]["Instance"]]
        assert page["TotalCount"] == 25
        token = page["NextToken"]
        if not token:
            break
    assert seen == ids
    numbered = [client.call("DescribeInstances", PageNumber=n, PageSize=10) for n in (1, 2, 3)]
    assert [i["InstanceId"] for page in numbered for i in page["Instances"]["Instance"]] == ids
    assert len(client.call("DescribeInstances")["Instances"]["Instance"]) == 10


def test_a_page_token_survives_deletions(client: Client) -> None:
    """What is deleted between two pages hides nothing of the second."""
    ids = client.launch(Amount=20)
    token = client.call("DescribeInstances", MaxResults=10)["NextToken"]
    client.call("DeleteInstances", Force=True, **{f"InstanceId_{n + 1}": item for n, item in enumerate(ids[:10])})
    rest = client.call("DescribeInstances", MaxResults=10, NextToken=token)["Instances"]["Instance"]
    assert [instance["InstanceId"] for instance in rest] == ids[10:]


def test_filters(client: Client) -> None:
    """By id (an unknown one is no error), name, state, tag."""
    network = client.network()
    (one,) = client.launch(network, InstanceName="one", Tag_1_Key="a", Tag_1_Value="1")
    (two,) = client.launch(network, InstanceName="two", Tag_1_Key="a", Tag_1_Value="2", Tag_2_Key="b")
    client.call("StopInstance", InstanceId=two)

    def found(**params: Any) -> list[str]:
        return [instance["InstanceId"] for instance in client.instances(**params)]

    assert found(InstanceIds=json.dumps([two, "i-unknown"])) == [two]
    assert found(InstanceIds="[]") == []
    assert found(InstanceName="o*") == [one]
    assert found(Status="Running") == [one]
    assert found(Tag_1_Key="a") == [one, two]
    assert found(Tag_1_Key="a", Tag_1_Value="2") == [two]
    assert found(Tag_1_Key="a", Tag_2_Key="b") == [two]
    assert found(VSwitchId="vsw-other") == []
    rows = client.call("DescribeInstanceStatus", InstanceId_1=two)["InstanceStatuses"]["InstanceStatus"]
    assert rows == [{"InstanceId": two, "Status": "Stopped"}]


def test_min_amount_takes_what_is_there(simulate: Simulate) -> None:
    """With MinAmount a launch makes as many as are in stock; without, all or none."""
    client = simulate(faults=[{"kind": "no-stock", "left": 2}])
    network = client.network()
    with pytest.raises(Refused, match="NoStock"):
        client.launch(network, Amount=3)
    assert len(client.launch(network, Amount=3, MinAmount=1)) == 2
    with pytest.raises(Refused, match="NoStock"):
        client.launch(network, Amount=3, MinAmount=1)


def test_addresses_run_out(client: Client) -> None:
    """A VSwitch has only so many addresses."""
    network = client.network()
    small = client.call("CreateVSwitch", VpcId=network["vpc"], ZoneId="cn-hangzhou-i", CidrBlock="10.0.2.0/29")
    place = {**network, "switch": small["VSwitchId"]}
    assert client.launch(place, PrivateIpAddress="10.0.2.3")
    with pytest.raises(Refused, match=r"InvalidPrivateIpAddress\.Duplicated"):
        client.launch(place, PrivateIpAddress="10.0.2.3")
    assert len(client.launch(place, Amount=3)) == 3
    with pytest.raises(Refused, match=r"InvalidVSwitchId\.IpInvalid"):
        client.launch(place)
    ips = [i["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0] for i in client.instances()]
    assert sorted(ips) == ["10.0.2.1", "10.0.2.2", "10.0.2.3", "10.0.2.4"]
    client.call("DeleteInstance", InstanceId=client.instances()[0]["InstanceId"], Force=True)
    assert client.launch(place)


def test_no_machine_no_instance(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a machine cannot be had, none of the launch's instances is made."""
    factory = client.simulator._fleet._factory
    create, left = factory.create, [1, 2]

    def fail_third(instance_id: str) -> Any:
        if not left:
            raise OSError("no address")
        left.pop()
        return create(instance_id)

    monkeypatch.setattr(factory, "create", fail_third)
    with pytest.raises(Refused, match="500 InternalError"):
        client.launch(Amount=3)
    assert client.instances() == []
    assert client.simulator._fleet._machines == {}
