"""Elastic IP addresses. They are made up: nothing listens on them."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.simulator.account import Resource
from provisioner.simulator.actions import ECS, VPC, Answer, Call, action
from provisioner.simulator.answers import new_id, second, tag_list
from provisioner.simulator.errors import ApiError
from provisioner.simulator.state.instance import Instance


@dataclass
class Eip(Resource, kind="eip", table="eips", not_found="InvalidAllocationId.NotFound", of_vpc=True):
    """An address on its own; `instance_id` is "" while it belongs to no instance."""

    address: str
    bandwidth_mbps: int
    charge_type: str
    instance_id: str = ""

    def instance_released(self, instance_id: str, now: float) -> None:  # noqa: ARG002
        """Be free again."""
        if self.instance_id == instance_id:
            self.instance_id = ""


@action("AllocateEipAddress", versions=(VPC, ECS), idempotent=True)
def allocate_eip_address(call: Call) -> Answer:
    """Get an address."""
    account = call.account
    region = call.params.need("RegionId") and call.region
    bandwidth = call.params.number("Bandwidth", 5, least=1, most=500)
    tags = call.params.tags()
    call.checked()
    serial = account.next_serial()
    eip = Eip(
        id=new_id("eip"),
        serial=serial,
        region=region,
        name=call.params.text("Name"),
        created=call.now,
        tags=tags,
        address=f"198.51.100.{serial % 254 + 1}",
        bandwidth_mbps=bandwidth,
        charge_type=call.params.text("InternetChargeType", "PayByBandwidth"),
    )
    account.add(eip)
    return {"AllocationId": eip.id, "EipAddress": eip.address, "ResourceGroupId": "rg-simulator"}


@action("AssociateEipAddress", versions=(VPC, ECS), idempotent=True)
def associate_eip_address(call: Call) -> Answer:
    """Give an address to an instance of a VPC that has no public address."""
    eip = _find(call)
    instance = call.need(Instance, "InstanceId")
    if eip.instance_id:
        raise ApiError("IncorrectEipStatus")
    if instance.public_ip or not instance.vpc_id or instance.status not in ("Running", "Stopped"):
        raise ApiError("IncorrectInstanceStatus")
    call.checked()
    eip.instance_id = instance.id
    return {}


@action("UnassociateEipAddress", versions=(VPC, ECS), idempotent=True)
def unassociate_eip_address(call: Call) -> Answer:
    """Take an address from its instance."""
    eip = _find(call)
    if not eip.instance_id:
        raise ApiError("IncorrectEipStatus")
    call.checked()
    eip.instance_id = ""
    return {}


@action("ReleaseEipAddress", versions=(VPC, ECS), idempotent=True)
def release_eip_address(call: Call) -> Answer:
    """Give an address back that belongs to no instance."""
    eip = _find(call)
    if eip.instance_id:
        raise ApiError("IncorrectEipStatus")
    call.checked()
    eip.released_at = call.now
    return {}


@action("DescribeEipAddresses", versions=(VPC, ECS))
def describe_eip_addresses(call: Call) -> Answer:
    """Addresses by id, address, instance, status, tag."""
    params = call.params
    eips = [
        eip
        for eip in call.seen(Eip)
        if params.text("AllocationId") in ("", eip.id)
        and params.text("EipAddress") in ("", eip.address)
        and params.text("AssociatedInstanceId") in ("", eip.instance_id)
        and params.text("Status") in ("", _status(eip))
    ]
    page, paging = call.page(eips)
    addresses = [
        {
            "AllocationId": eip.id,
            "IpAddress": eip.address,
            "Name": eip.name,
            "RegionId": eip.region,
            "Status": _status(eip),
            "InstanceId": eip.instance_id,
            "InstanceType": "EcsInstance" if eip.instance_id else "",
            "Bandwidth": str(eip.bandwidth_mbps),
            "InternetChargeType": eip.charge_type,
            "ChargeType": "PostPaid",
            "AllocationTime": second(eip.created),
            "Tags": tag_list(eip.tags, key="Key", value="Value"),
        }
        for eip in page
    ]
    return {"EipAddresses": {"EipAddress": addresses}, **paging}


def _find(call: Call) -> Eip:
    return call.need(Eip, "AllocationId")


def _status(eip: Eip) -> str:
    return "InUse" if eip.instance_id else "Available"
