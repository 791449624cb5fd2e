"""VSwitches: a part of a VPC's addresses in one zone."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from provisioner.simulator.account import Account, Resource
from provisioner.simulator.actions import ECS, VPC, Answer, Call, action, matches
from provisioner.simulator.answers import new_id, second, tag_list
from provisioner.simulator.errors import ApiError
from provisioner.simulator.state.instance import Instance
from provisioner.simulator.state.vpc import Vpc, read_cidr

RESERVED = 4  # of each VSwitch: the network's own address and the last three


@dataclass
class VSwitch(
    Resource,
    kind="vswitch",
    table="vswitches",
    not_found="InvalidVSwitchId.NotFound",
    quotas={"vswitches-per-vpc": 24},
    of_vpc=True,
):
    """A VSwitch: Pending for a moment, then Available."""

    vpc_id: str
    zone: str
    cidr: str
    description: str
    available_at: float

    def status(self, now: float) -> str:
        """Pending or Available."""
        return "Available" if now >= self.available_at else "Pending"

    def blocks_removal(self, other: Resource) -> str:
        """Its VPC stays."""
        return "DependencyViolation.VSwitch" if other.id == self.vpc_id else ""

    def check_address(self, account: Account, address: str) -> None:
        """Raise unless an address may be given to an instance."""
        try:
            inside = ip_address(address) in ip_network(self.cidr)
        except ValueError:
            inside = False
        if not inside:
            raise ApiError("InvalidPrivateIpAddress.Malformed")
        if address in self._taken(account):
            raise ApiError("InvalidPrivateIpAddress.Duplicated")

    def free_address(self, account: Account) -> str:
        """The first address that no instance has."""
        taken = self._taken(account)
        network = ip_network(self.cidr)
        for index in range(1, network.num_addresses - RESERVED + 1):
            if str(network[index]) not in taken:
                return str(network[index])
        raise ApiError("InvalidVSwitchId.IpInvalid")

    def free_count(self, account: Account) -> int:
        """How many addresses are left."""
        return ip_network(self.cidr).num_addresses - RESERVED - len(self._taken(account))

    def _taken(self, account: Account) -> set[str]:
        now = account.clock()
        return {
            instance.private_ip
            for instance in account.table(Instance).values()
            if instance.vswitch_id == self.id and account.lingers(instance, now)
        }


@action("CreateVSwitch", versions=(VPC, ECS), idempotent=True)
def create_vswitch(call: Call) -> Answer:
    """Make a VSwitch in a VPC that is Available; it is Pending at first."""
    account, params = call.account, call.params
    vpc = call.need(Vpc, "VpcId")
    zone = params.need("ZoneId")
    if zone not in account.catalog.zones(vpc.region):
        raise ApiError("InvalidZoneId.NotFound")
    if "VSwitch" not in account.catalog.creates(zone):
        raise ApiError("ResourceNotAvailable")
    network = read_cidr(params.need("CidrBlock"), shortest=16, longest=29)
    if vpc.status(call.now) != "Available":
        raise ApiError("IncorrectVpcStatus")
    if not network.subnet_of(ip_network(vpc.cidr)):  # type: ignore[arg-type]
        raise ApiError("InvalidCidrBlock")
    siblings = [s for s in account.table(VSwitch).values() if s.vpc_id == vpc.id and account.lingers(s, call.now)]
    if any(network.overlaps(ip_network(sibling.cidr)) for sibling in siblings):
        raise ApiError("InvalidCidrBlock.Overlapped")
    if len(siblings) >= account.quotas["vswitches-per-vpc"]:
        raise ApiError("QuotaExceeded.VSwitch")
    tags = params.tags()
    call.checked()
    switch = VSwitch(
        id=new_id("vsw"),
        serial=account.next_serial(),
        region=vpc.region,
        name=params.text("VSwitchName"),
        created=call.now,
        tags=tags,
        vpc_id=vpc.id,
        zone=zone,
        cidr=str(network),
        description=params.text("Description"),
        available_at=call.now + account.durations.network,
    )
    account.add(switch)
    return {"VSwitchId": switch.id}


@action("DeleteVSwitch", versions=(VPC, ECS))
def delete_vswitch(call: Call) -> Answer:
    """Remove a VSwitch without instances; one that was just released still counts for a moment."""
    switch = call.need(VSwitch, "VSwitchId")
    if switch.status(call.now) != "Available":
        raise ApiError("IncorrectVSwitchStatus")
    call.check_removable(switch)
    call.checked()
    switch.released_at = call.now
    return {}


@action("DescribeVSwitches", versions=(VPC, ECS))
def describe_vswitches(call: Call) -> Answer:
    """VSwitches by id (a comma-separated list), VPC, zone, name, tag."""
    params = call.params
    ids = [item for item in params.text("VSwitchId").split(",") if item]
    switches = [
        switch
        for switch in call.seen(VSwitch)
        if (not ids or switch.id in ids)
        and params.text("VpcId") in ("", switch.vpc_id)
        and params.text("ZoneId") in ("", switch.zone)
        and matches(params.text("VSwitchName"), switch.name)
    ]
    page, paging = call.page(switches)
    return {"VSwitches": {"VSwitch": [_answer(call, switch) for switch in page]}, **paging}


@action("DescribeVSwitchAttributes", versions=(VPC, ECS))
def describe_vswitch_attributes(call: Call) -> Answer:
    """One VSwitch; an unknown id is an error here."""
    return _answer(call, call.need(VSwitch, "VSwitchId"))


def _answer(call: Call, switch: VSwitch) -> Answer:
    return {
        "VSwitchId": switch.id,
        "VpcId": switch.vpc_id,
        "VSwitchName": switch.name,
        "Status": switch.status(call.now),
        "CidrBlock": switch.cidr,
        "ZoneId": switch.zone,
        "AvailableIpAddressCount": switch.free_count(call.account),
        "Description": switch.description,
        "CreationTime": second(switch.created),
        "IsDefault": False,
        "Tags": tag_list(switch.tags, key="Key", value="Value"),
    }
