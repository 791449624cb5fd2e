"""Networks, groups, keys, disks, addresses, tags: what they keep and who holds whom."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.simulator.client import Client, Refused

KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBSR2SHxC6a5YquJXooZSgM4mF6r"
    "vFvGmt8gbHKBgFcUFd+zkX7w2CZ0OPwJ1nyXoBfGxLg9RQq+eB1GdVC6H90="
)


def rules(client: Client, group: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.call("DescribeSecurityGroupAttribute", SecurityGroupId=group)["Permissions"][
        "Permission"
    ]
    return found


@pytest.mark.parametrize("version", ["2016-04-28", "2014-05-26"])
def test_network_under_both_services(client: Client, version: str) -> None:
    """VPC and VSwitch are the same things under the VPC service and under ECS."""
    vpc = client.call("CreateVpc", version, CidrBlock="172.16.0.0/12", VpcName="net", Tag_1_Key="a")["VpcId"]
    switch = client.call("CreateVSwitch", version, VpcId=vpc, ZoneId="cn-hangzhou-i", CidrBlock="172.16.1.0/24")
    row = client.call("DescribeVpcAttribute", version, VpcId=vpc)
    assert (row["Status"], row["VpcName"], row["VSwitchIds"]) == (
        "Available",
        "net",
        {"VSwitchId": [switch["VSwitchId"]]},
    )
    (found,) = client.call("DescribeVSwitches", version, VpcId=vpc)["VSwitches"]["VSwitch"]
    assert (found["Status"], found["ZoneId"], found["AvailableIpAddressCount"]) == ("Available", "cn-hangzhou-i", 252)
    assert client.call("DescribeVpcs", version, Tag_1_Key="a")["Vpcs"]["Vpc"][0]["VpcId"] == vpc
    assert client.call("DescribeVpcs", version, Tag_1_Key="a", Tag_1_Value="b")["Vpcs"]["Vpc"] == []
    client.call("DeleteVSwitch", version, VSwitchId=switch["VSwitchId"])
    client.call("DeleteVpc", version, VpcId=vpc)
    assert client.simulator.resources == []


def test_regions_are_apart(client: Client) -> None:
    """What is in one region is not seen in another."""
    vpc = client.call("CreateVpc", CidrBlock="10.0.0.0/8")["VpcId"]
    assert client.call("DescribeVpcs", RegionId="cn-shanghai")["Vpcs"]["Vpc"] == []
    with pytest.raises(Refused, match=r"InvalidVpcId\.NotFound"):
        client.call("DeleteVpc", RegionId="cn-shanghai", VpcId=vpc)


def test_calls_without_a_region(simulate: Any) -> None:
    """Calls that name none reach what they name, wherever it is."""
    client = simulate()
    client.region = "cn-shanghai"
    network = client.network("cn-shanghai-f")
    (instance,) = client.launch(network)
    client.call("StopInstance", RegionId="", InstanceId=instance)
    client.call("DeleteInstance", RegionId="", InstanceId=instance)
    client.call("DeleteSecurityGroup", RegionId="", SecurityGroupId=network["group"])
    client.call("DeleteVSwitch", RegionId="", VSwitchId=network["switch"])
    client.call("DeleteVpc", RegionId="", VpcId=network["vpc"])
    assert client.simulator.resources == []


@pytest.mark.parametrize("prefix", ["Permissions_1_", ""])
def test_rules(client: Client, prefix: str) -> None:
    """A rule in either form is there once, however often it is asked for, and goes when it is revoked."""
    group = client.network()["group"]
    assert rules(client, group) == []
    rule = {
        f"{prefix}{name}": value
        for name, value in (("IpProtocol", "tcp"), ("PortRange", "22/22"), ("SourceCidrIp", "1.2.3.4/32"))
    }
    for _ in range(2):
        client.call("AuthorizeSecurityGroup", SecurityGroupId=group, **rule, **{f"{prefix}Description": "ssh"})
    (row,) = rules(client, group)
    assert (row["IpProtocol"], row["PortRange"], row["SourceCidrIp"]) == ("TCP", "22/22", "1.2.3.4/32")
    assert (row["Direction"], row["Policy"], row["Description"]) == ("ingress", "Accept", "ssh")
    other = {**rule, f"{prefix}PortRange": "23/23"}
    client.call("RevokeSecurityGroup", SecurityGroupId=group, **other)
    assert len(rules(client, group)) == 1
    client.call("RevokeSecurityGroup", SecurityGroupId=group, **rule)
    assert rules(client, group) == []


def test_rules_of_the_other_direction(client: Client) -> None:
    """Outgoing rules are apart from incoming ones."""
    group = client.network()["group"]
    rule = {"IpProtocol": "udp", "PortRange": "53/53"}
    client.call("AuthorizeSecurityGroup", SecurityGroupId=group, **rule, SourceCidrIp="10.0.0.0/8")
    client.call("AuthorizeSecurityGroupEgress", SecurityGroupId=group, **rule, DestCidrIp="10.0.0.0/8")
    for direction in ("ingress", "egress"):
        answer = client.call("DescribeSecurityGroupAttribute", SecurityGroupId=group, Direction=direction)
        assert [row["Direction"] for row in answer["Permissions"]["Permission"]] == [direction]
    client.call("RevokeSecurityGroupEgress", SecurityGroupId=group, **rule, DestCidrIp="10.0.0.0/8")
    assert [row["Direction"] for row in rules(client, group)] == ["ingress"]


def test_groups_are_found(client: Client) -> None:
    """By id, VPC, name and tag."""
    network = client.network()
    other = client.call("CreateSecurityGroup", SecurityGroupName="other", Tag_1_Key="a")["SecurityGroupId"]

    def found(**params: str) -> list[str]:
        groups = client.call("DescribeSecurityGroups", **params)["SecurityGroups"]["SecurityGroup"]
        return [group["SecurityGroupId"] for group in groups]

    assert found() == [network["group"], other]
    assert found(VpcId=network["vpc"]) == found(SecurityGroupName="group") == [network["group"]]
    assert found(Tag_1_Key="a") == found(SecurityGroupId=other) == found(SecurityGroupIds=f'["{other}"]') == [other]


def test_an_instances_groups_can_be_changed(client: Client) -> None:
    """To groups of the same VPC."""
    network = client.network()
    (instance,) = client.launch(network)
    more = client.call("CreateSecurityGroup", VpcId=network["vpc"])["SecurityGroupId"]
    elsewhere = client.call("CreateSecurityGroup")["SecurityGroupId"]
    client.call("ModifyInstanceAttribute", InstanceId=instance, SecurityGroupIds_1=more)
    assert client.instances()[0]["SecurityGroupIds"]["SecurityGroupId"] == [more]
    for wrong, code in ((elsewhere, r"InvalidParameter\.Mismatch"), ("sg-none", r"InvalidSecurityGroupId\.NotFound")):
        with pytest.raises(Refused, match=code):
            client.call("ModifyInstanceAttribute", InstanceId=instance, SecurityGroupIds_1=wrong)


def test_rules_revoked_by_id(client: Client) -> None:
    """A rule's id is enough."""
    group = client.network()["group"]
    for port in ("22/22", "80/80"):
        client.call(
            "AuthorizeSecurityGroup", SecurityGroupId=group, IpProtocol="tcp", PortRange=port, SourceCidrIp="0.0.0.0/0"
        )
    first, second = rules(client, group)
    client.call("RevokeSecurityGroup", SecurityGroupId=group, SecurityGroupRuleId_1=first["SecurityGroupRuleId"])
    assert rules(client, group) == [second]


def test_a_group_named_in_a_rule_stays(client: Client) -> None:
    """A group that another group's rule names cannot be deleted; one that names itself can."""
    network = client.network()
    other = client.call("CreateSecurityGroup", VpcId=network["vpc"])["SecurityGroupId"]
    rule = {"IpProtocol": "all", "PortRange": "-1/-1"}
    client.call("AuthorizeSecurityGroup", SecurityGroupId=other, **rule, SourceGroupId=network["group"])
    client.call("AuthorizeSecurityGroup", SecurityGroupId=other, **rule, SourceGroupId=other)
    with pytest.raises(Refused, match="DependencyViolation"):
        client.call("DeleteSecurityGroup", SecurityGroupId=network["group"])
    client.call("DeleteSecurityGroup", SecurityGroupId=other)
    client.call("DeleteSecurityGroup", SecurityGroupId=network["group"])


def test_imported_key_pair(client: Client) -> None:
    """A name is taken once; the pair cannot go while an instance has it; a missing name is fine."""
    made = client.call("ImportKeyPair", KeyPairName="kp", PublicKeyBody=f"{KEY} me@here", Tag_1_Key="a")
    assert made["KeyPairFingerPrint"]
    with pytest.raises(Refused, match=r"KeyPair\.AlreadyExist"):
        client.call("ImportKeyPair", KeyPairName="kp", PublicKeyBody=KEY)
    (row,) = client.call("DescribeKeyPairs", KeyPairName="k*", Tag_1_Key="a")["KeyPairs"]["KeyPair"]
    assert (row["KeyPairName"], row["KeyPairFingerPrint"]) == ("kp", made["KeyPairFingerPrint"])
    (instance,) = client.launch(KeyPairName="kp")
    with pytest.raises(Refused, match="KeypairAlreadyAttachedInstance"):
        client.call("DeleteKeyPairs", KeyPairNames='["kp"]')
    client.call("DeleteInstance", InstanceId=instance, Force=True)
    client.call("DeleteKeyPairs", KeyPairNames='["kp", "never-was"]')
    assert client.call("DescribeKeyPairs")["KeyPairs"]["KeyPair"] == []


@pytest.mark.parametrize("kind", ["ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521"])
def test_kinds_of_key_that_are_documented(client: Client, kind: str) -> None:
    """rsa, dsa and ecdsa are taken (Ed25519 is not: refused.yaml); the kind in the blob is what counts."""
    blob = len(kind).to_bytes(4, "big") + kind.encode() + bytes(60)
    made = client.call("ImportKeyPair", KeyPairName="kp", PublicKeyBody=f"{kind} {base64.b64encode(blob).decode()}")
    assert made["KeyPairName"] == "kp"


def test_created_key_pair(client: Client) -> None:
    """The private half comes once, and belongs to the public one."""
    import io

    import paramiko

    made = client.call("CreateKeyPair", KeyPairName="kp")
    key = paramiko.RSAKey.from_private_key(io.StringIO(made["PrivateKeyBody"]))
    (row,) = client.call("DescribeKeyPairs", IncludePublicKey=True)["KeyPairs"]["KeyPair"]
    assert row["PublicKey"].split()[1] == key.get_base64()


def test_disks_of_an_instance(client: Client) -> None:
    """System and data disks come with the instance; a data disk that is to stay outlives it."""
    (instance,) = client.launch(
        DataDisk_1_Size=100, DataDisk_2_Size=200, DataDisk_2_DeleteWithInstance="False", Tag_1_Key="a"
    )
    disks = client.call("DescribeDisks", InstanceId=instance, Tag_1_Key="a")["Disks"]["Disk"]
    assert [(disk["Type"], disk["Size"], disk["Status"]) for disk in disks] == [
        ("system", 40, "In_use"),
        ("data", 100, "In_use"),
        ("data", 200, "In_use"),
    ]
    with pytest.raises(Refused, match="IncorrectDiskStatus"):
        client.call("DeleteDisk", DiskId=disks[2]["DiskId"])
    client.call("DeleteInstance", InstanceId=instance, Force=True)
    (left,) = client.call("DescribeDisks")["Disks"]["Disk"]
    assert (left["DiskId"], left["Status"], left["InstanceId"]) == (disks[2]["DiskId"], "Available", "")
    client.call("DeleteDisk", DiskId=left["DiskId"])
    assert client.call("DescribeDisks")["TotalCount"] == 0


def test_elastic_addresses(client: Client) -> None:
    """An address is given, bound, shown at the instance, freed with it, and given back."""
    (instance,) = client.launch(InternetMaxBandwidthOut=0)
    eip = client.call("AllocateEipAddress", Bandwidth=10)
    client.call("AssociateEipAddress", AllocationId=eip["AllocationId"], InstanceId=instance)
    assert client.instances()[0]["EipAddress"]["IpAddress"] == eip["EipAddress"]
    with pytest.raises(Refused, match="IncorrectEipStatus"):
        client.call("ReleaseEipAddress", AllocationId=eip["AllocationId"])
    client.call("UnassociateEipAddress", AllocationId=eip["AllocationId"])
    client.call("AssociateEipAddress", AllocationId=eip["AllocationId"], InstanceId=instance)
    client.call("DeleteInstance", InstanceId=instance, Force=True)
    (row,) = client.call("DescribeEipAddresses")["EipAddresses"]["EipAddress"]
    assert (row["Status"], row["InstanceId"]) == ("Available", "")
    client.call("ReleaseEipAddress", AllocationId=eip["AllocationId"])
    assert "eip" not in {resource["kind"] for resource in client.simulator.resources}


@pytest.mark.parametrize(
    ("kind", "name", "version"),
    [
        ("instance", "instance", "2014-05-26"),
        ("securitygroup", "group", "2014-05-26"),
        ("keypair", "kp", "2014-05-26"),
        ("VPC", "vpc", "2016-04-28"),
        ("VSWITCH", "switch", "2016-04-28"),
    ],
)
def test_tags(client: Client, kind: str, name: str, version: str) -> None:
    """Tags are set, found, shown and taken away on every kind of resource."""
    network = client.network()
    client.call("ImportKeyPair", KeyPairName="kp", PublicKeyBody=KEY)
    names = {**network, "kp": "kp", "instance": client.launch(network)[0]}
    about = {"ResourceType": kind, "ResourceId_1": names[name]}
    tags = {"Tag_1_Key": "a", "Tag_1_Value": "1", "Tag_2_Key": "b", "Tag_2_Value": "2"}
    client.call("TagResources", version, **about, **tags)
    rows = client.call("ListTagResources", version, ResourceType=kind, Tag_1_Key="a")["TagResources"]["TagResource"]
    assert {(row["ResourceId"], row["TagKey"], row["TagValue"]) for row in rows} == {
        (names[name], "a", "1"),
        (names[name], "b", "2"),
    }
    untag = "UnTagResources" if kind.isupper() else "UntagResources"  # VPC spells it so
    client.call(untag, version, **about, TagKey_1="a")
    assert [resource["tags"] for resource in client.simulator.resources if resource["tags"]] == [{"b": "2"}]
    client.call(untag, version, **about, All=True)
    assert not any(resource["tags"] for resource in client.simulator.resources)
    other = "2014-05-26" if kind.isupper() else "2016-04-28"
    with pytest.raises(Refused, match=r"InvalidResourceType\.NotFound"):
        client.call("TagResources", other, **about, **tags)


def test_catalogue(client: Client) -> None:
    """Types, families, images, zones, prices and limits answer what the program and others ask."""
    (kind,) = client.call("DescribeInstanceTypes", InstanceTypes_1="ecs.hfc7.24xlarge")["InstanceTypes"]["InstanceType"]
    assert (kind["CpuCoreCount"], kind["MemorySize"], kind["CpuArchitecture"]) == (96, 192.0, "X86")
    first = client.call("DescribeInstanceTypes")
    rest = client.call("DescribeInstanceTypes", NextToken=first["NextToken"])
    both = [kind["InstanceTypeId"] for page in (first, rest) for kind in page["InstanceTypes"]["InstanceType"]]
    assert len(first["InstanceTypes"]["InstanceType"]) == 100
    assert len(set(both)) == len(both) > 100
    families = client.call("DescribeInstanceTypeFamilies")["InstanceTypeFamilies"]["InstanceTypeFamily"]
    assert "ecs.hfc7" in [family["InstanceTypeFamilyId"] for family in families]
    images = client.call("DescribeImages", ImageFamily="acs:alibaba_cloud_linux_3_2104_lts_x64")["Images"]["Image"]
    assert max(images, key=lambda image: image["CreationTime"])["ImageId"].endswith("20260513.vhd")
    assert client.call("DescribeImages", InstanceType="ecs.hfc7.large", Architecture="arm64")["TotalCount"] == 0
    one = client.call("DescribePrice", InstanceType="ecs.hfc7.large")["PriceInfo"]["Price"]
    spot = client.call("DescribePrice", InstanceType="ecs.hfc7.large", SpotStrategy="SpotAsPriceGo", Amount=2)
    assert one["Currency"] == "CNY"
    assert 0 < spot["PriceInfo"]["Price"]["TradePrice"] < spot["PriceInfo"]["Price"]["OriginalPrice"]
    assert client.call("DescribeAccountAttributes", AttributeName_1="max-security-groups")["AccountAttributeItems"] == {
        "AccountAttributeItem": [
            {"AttributeName": "max-security-groups", "AttributeValues": {"ValueItem": [{"Value": "100"}]}}
        ]
    }
    assert client.call("GetCallerIdentity")["IdentityType"] == "Account"


def test_zones_that_are_closed_to_what_is_new(client: Client) -> None:
    """DescribeZones says what may be created where; the creating call and the price refuse the rest."""
    zones = client.call("DescribeZones")["Zones"]["Zone"]
    creates = {zone["ZoneId"]: zone["AvailableResourceCreation"]["ResourceTypes"] for zone in zones}
    assert {"Instance", "VSwitch"} <= set(creates["cn-hangzhou-i"])
    assert creates["cn-hangzhou-g"] == ["Disk"]
    brief = client.call("DescribeZones", Verbose="False")["Zones"]["Zone"]
    assert {frozenset(zone) for zone in brief} == {frozenset({"ZoneId", "LocalName", "ZoneType"})}
    with pytest.raises(Refused, match="400 ResourceNotAvailable"):
        client.network("cn-hangzhou-g")
    with pytest.raises(Refused, match="400 PriceNotFound"):
        client.call("DescribePrice", InstanceType="ecs.hfc7.large", ZoneId="cn-hangzhou-g")


def test_stock(simulate: Any) -> None:
    """Zones sell, have sold out, or do not sell at all; what is on offer says so."""
    client = simulate(faults=[{"kind": "no-stock", "zone": "cn-hangzhou-j", "instance_type": "ecs.hfc7.*"}])

    def zones(destination: str, **params: str) -> dict[str, str]:
        answer = client.call("DescribeAvailableResource", DestinationResource=destination, **params)
        return {zone["ZoneId"]: zone["StatusCategory"] for zone in answer["AvailableZones"]["AvailableZone"]}

    found = zones("InstanceType", InstanceType="ecs.hfc7.large")
    assert "cn-hangzhou-b" not in found
    assert (found["cn-hangzhou-i"], found["cn-hangzhou-j"]) == ("WithStock", "WithoutStock")
    assert zones("InstanceType", InstanceType="ecs.hfg7.large")["cn-hangzhou-j"] == "WithStock"
    disks = client.call(
        "DescribeAvailableResource",
        DestinationResource="SystemDisk",
        InstanceType="ecs.hfc7.large",
        ZoneId="cn-hangzhou-i",
    )["AvailableZones"]["AvailableZone"][0]["AvailableResources"]["AvailableResource"][0]
    assert "cloud_essd" in [row["Value"] for row in disks["SupportedResources"]["SupportedResource"]]
    with pytest.raises(Refused, match=r"InvalidInstanceType\.ZoneNotSupported"):
        client.launch(client.network("cn-hangzhou-b"))
