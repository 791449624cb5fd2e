"""VPCs, under the VPC service's API and the older names that ECS still has."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

from provisioner.simulator.account import Resource
from provisioner.simulator.actions import ECS, VPC, Answer, Call, action, matches
from provisioner.simulator.answers import new_id, second, tag_list
from provisioner.simulator.errors import ApiError

PRIVATE = [ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


@dataclass
class Vpc(Resource, kind="vpc", table="vpcs", not_found="InvalidVpcId.NotFound", quotas={"vpcs": 10}, of_vpc=True):
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
    if len(call.existing(Vpc)) >= account.quotas["vpcs"]:
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
    account.add(vpc)
    return {
        "VpcId": vpc.id,
        "VRouterId": vpc.id.replace("vpc", "vrt"),
        "RouteTableId": vpc.id.replace("vpc", "vtb"),
        "ResourceGroupId": "rg-simulator",
    }


@action("DeleteVpc", versions=(VPC, ECS))
def delete_vpc(call: Call) -> Answer:
    """Remove a VPC that holds nothing; a VSwitch that was just removed still counts for a moment."""
    vpc = call.need(Vpc, "VpcId")
    call.check_removable(vpc)
    call.checked()
    vpc.released_at = call.now
    return {}


@action("DescribeVpcs", versions=(VPC, ECS))
def describe_vpcs(call: Call) -> Answer:
    """VPCs by id (a comma-separated list), name, tag."""
    ids = [item for item in call.params.text("VpcId").split(",") if item]
    vpcs = [
        vpc for vpc in call.seen(Vpc) if (not ids or vpc.id in ids) and matches(call.params.text("VpcName"), vpc.name)
    ]
    page, paging = call.page(vpcs)
    return {"Vpcs": {"Vpc": [_answer(call, vpc) for vpc in page]}, **paging}


@action("DescribeVpcAttribute", versions=(VPC, ECS))
def describe_vpc_attribute(call: Call) -> Answer:
    """One VPC; an unknown id is an error here."""
    vpc = call.need(Vpc, "VpcId")
    return _answer(call, vpc)


def _answer(call: Call, vpc: Vpc) -> Answer:
    inside = [resource for resource in call.account.dependants(vpc, call.now) if resource.exists(call.now)]
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
        "VSwitchIds": {"VSwitchId": [resource.id for resource in inside if resource.kind == "vswitch"]},
        "UserCidrs": {"UserCidr": []},
        "Tags": tag_list(vpc.tags, key="Key", value="Value"),
    }
