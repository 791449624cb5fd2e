"""VPCs, under the VPC service's API and the older names that ECS still has."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

from provisioner.simulator.actions import ECS, VPC, Answer, Call, action, matches
from provisioner.simulator.errors import ApiError
from provisioner.simulator.state.resource import Resource, new_id, second, tag_list

PRIVATE = [ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


@dataclass
class Vpc(Resource):
    """A VPC: Pending for a moment, then Available."""

    cidr: str
    description: str
    available_at: float

    def status(self, now: float) -> str:
        """Pending or Available."""
        return "Available" if now >= self.available_at else "Pending"


def read_cidr(text: str, *, shortest: int, longest: int) -> IPv4Network:
    """A CIDR block whose prefix length is in a range."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ApiError("InvalidCidrBlock.Malformed") from None
    if not isinstance(network, IPv4Network) or not shortest <= network.prefixlen <= longest:
        raise ApiError("InvalidCidrBlock.Malformed")
    return network


@action("CreateVpc", versions=(VPC, ECS), idempotent=True)
def create_vpc(call: Call) -> Answer:
    """Make a VPC; it is Pending at first."""
    account = call.account
    region = call.params.need("RegionId") and call.region
    network = read_cidr(call.params.text("CidrBlock", "172.16.0.0/12"), shortest=8, longest=28)
    if not any(network.subnet_of(block) for block in PRIVATE if isinstance(block, IPv4Network)):
        raise ApiError("InvalidCidrBlock.Malformed")
    tags = call.params.tags()
    if sum(vpc.region == region and vpc.exists(call.now) for vpc in account.vpcs.values()) >= account.quotas["vpcs"]:
        raise ApiError("QuotaExceeded.Vpc")
    call.checked()
    vpc = Vpc(
        id=new_id("vpc"),
        serial=account.next_serial(),
        region=region,
        name=call.params.text("VpcName"),
        created=call.now,
        tags=tags,
        cidr=str(network),
        description=call.params.text("Description"),
        available_at=call.now + account.durations.network,
    )
    account.vpcs[vpc.id] = vpc
    return {
        "VpcId": vpc.id,
        "VRouterId": vpc.id.replace("vpc", "vrt"),
        "RouteTableId": vpc.id.replace("vpc", "vtb"),
        "ResourceGroupId": "rg-simulator",
    }


@action("DeleteVpc", versions=(VPC, ECS))
def delete_vpc(call: Call) -> Answer:
    """Remove a VPC that holds nothing; a VSwitch that was just removed still counts for a moment."""
    account = call.account
    vpc = call.get(account.vpcs, call.params.need("VpcId"), "InvalidVpcId.NotFound")
    if any(switch.vpc_id == vpc.id and account.lingers(switch, call.now) for switch in account.vswitches.values()):
        raise ApiError("DependencyViolation.VSwitch")
    if any(group.vpc_id == vpc.id and account.lingers(group, call.now) for group in account.security_groups.values()):
        raise ApiError("DependencyViolation.SecurityGroup")
    call.checked()
    vpc.released_at = call.now
    return {}


@action("DescribeVpcs", versions=(VPC, ECS))
def describe_vpcs(call: Call) -> Answer:
    """VPCs by id (a comma-separated list), name, tag."""
    ids = [item for item in call.params.text("VpcId").split(",") if item]
    found = [
        vpc
        for vpc in call.seen(call.account.vpcs)
        if (not ids or vpc.id in ids) and matches(call.params.text("VpcName"), vpc.name)
    ]
    page, paging = call.page(found)
    return {"Vpcs": {"Vpc": [_answer(call, vpc) for vpc in page]}, **paging}


@action("DescribeVpcAttribute", versions=(VPC, ECS))
def describe_vpc_attribute(call: Call) -> Answer:
    """One VPC; an unknown id is an error here."""
    vpc = call.get(call.account.vpcs, call.params.need("VpcId"), "InvalidVpcId.NotFound")
    return _answer(call, vpc)


def _answer(call: Call, vpc: Vpc) -> Answer:
    switches = [switch.id for switch in call.account.vswitches.values() if switch.vpc_id == vpc.id]
    return {
        "VpcId": vpc.id,
        "RegionId": vpc.region,
        "VpcName": vpc.name,
        "Status": vpc.status(call.now),
        "CidrBlock": vpc.cidr,
        "Description": vpc.description,
        "CreationTime": second(vpc.created),
        "IsDefault": False,
        "VRouterId": vpc.id.replace("vpc", "vrt"),
        "VSwitchIds": {"VSwitchId": [i for i in switches if call.account.vswitches[i].exists(call.now)]},
        "UserCidrs": {"UserCidr": []},
        "Tags": tag_list(vpc.tags, key="Key", value="Value"),
    }
