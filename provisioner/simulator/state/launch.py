"""RunInstances and CreateInstance: everything that is checked, in the service's order, and then the instances."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from provisioner.simulator.account import LEAST_BALANCE
from provisioner.simulator.actions import Answer, Call, action
from provisioner.simulator.answers import new_id
from provisioner.simulator.catalog import Image, InstanceType
from provisioner.simulator.errors import ApiError, missing
from provisioner.simulator.state.disk import make_disks, read_data_disks, read_system_disk
from provisioner.simulator.state.instance import Instance
from provisioner.simulator.state.key_pair import KeyPair
from provisioner.simulator.state.offers import SPOT_SHARE
from provisioner.simulator.state.security_group import SecurityGroup
from provisioner.simulator.state.vswitch import VSwitch

SPOT_STRATEGIES = ("NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo")
MAX_USER_DATA = 32 * 1024


@dataclass(frozen=True)
class Place:
    """Where in the network an instance goes; `switch` is None in the classic network."""

    zone: str
    switch: VSwitch | None
    group_ids: list[str]


@action("RunInstances", idempotent=True)
def run_instances(call: Call) -> Answer:
    """Make up to 100 instances that start by themselves: all or none, or at least MinAmount."""
    params = call.params
    amount = params.number("Amount", 1, least=1, most=100, code="InvalidMaxAmount.Malformed")
    least = params.number("MinAmount", amount, least=1, most=amount, code="InvalidMinAmount.Malformed")
    instances = _launch(call, amount, least)
    durations = call.account.durations
    for instance in instances:
        instance.plan(
            call.now,
            (durations.pending, "Stopped"),
            (durations.stopped, "Starting"),
            (durations.starting, "Running"),
        )
        if call.fault and call.fault.kind == "reclaim" and instance.spot_strategy != "NoSpot":
            instance.reclaim_due = call.now + call.fault.delay_s
    ids = [instance.id for instance in instances]
    return {"InstanceIdSets": {"InstanceIdSet": ids}, "OrderId": "", "TradePrice": 0.0}


@action("CreateInstance", idempotent=True)
def create_instance(call: Call) -> Answer:
    """Make one instance that stays Stopped until StartInstance, and has no public address until it is asked for."""
    (instance,) = _launch(call, 1, 1)
    instance.public_ip = ""
    instance.plan(call.now, (call.account.durations.pending, "Stopped"))
    return {"InstanceId": instance.id, "OrderId": "", "TradePrice": 0.0}


def _launch(call: Call, amount: int, least: int) -> list[Instance]:
    """Check everything; then make between `least` and `amount` instances."""
    params = call.params
    params.need("RegionId")
    image = _image(call)
    kind = _type(call, image)
    place = _place(call, kind)
    switch = place.switch
    system_disk = read_system_disk(call, kind, image)
    data_disks = read_data_disks(call, kind.disks)
    names = _names(params.text("InstanceName"), amount, params.flag("UniqueSuffix"), "InvalidInstanceName.Malformed")
    hosts = _host_names(call, amount)
    spot_strategy, spot_price_limit, spot_interruption = _spot(call, kind)
    common: dict[str, Any] = {
        "region": call.region,
        "created": call.now,
        "zone": place.zone,
        "instance_type": kind.id,
        "image_id": image.id,
        "vpc_id": switch.vpc_id if switch else "",
        "vswitch_id": switch.id if switch else "",
        "security_group_ids": place.group_ids,
        "key_pair": _key_pair(call),
        "bandwidth_mbps": params.number(
            "InternetMaxBandwidthOut", 0, least=0, most=100, code="InvalidInternetMaxBandwidthOut.Malformed"
        ),
        "charge_by": _charge_by(call),
        "user_data": _user_data(call),
        "deletion_protection": params.flag("DeletionProtection"),
        "auto_release_at": auto_release(call, "AutoReleaseTime"),
        "spot_strategy": spot_strategy,
        "spot_price_limit": spot_price_limit,
        "spot_interruption": spot_interruption,
        "ram_role": params.text("RamRoleName"),
        "login_user": "ecs-user" if params.flag("ImageOptions.LoginAsNonRoot") else "root",
        "threads_per_core": params.number(
            "CpuOptions.ThreadsPerCore", kind.threads_per_core, least=1, most=kind.threads_per_core
        ),
        "cores": params.number("CpuOptions.Core", kind.vcpus // kind.threads_per_core, least=1, most=kind.vcpus),
        "description": params.text("Description"),
    }
    tags = params.tags()
    _limits(call, kind, amount)
    amount = _stock(call, kind, place, amount, least)
    _check_addresses(call, switch, amount)
    call.checked()

    call.faults.sell(place.zone, kind.id, amount)
    instances = []
    for instance_id, (machine_ip, own_ip), name, host in zip(*_machines(call, amount), names, hosts, strict=False):
        serial = call.account.next_serial()
        instance = Instance(
            **common,
            id=instance_id,
            serial=serial,
            name=name or instance_id,
            hostname=host or f"iZ{instance_id[2:]}Z",
            tags=dict(tags),
            machine_ip=machine_ip,
            public_ip=machine_ip if common["bandwidth_mbps"] else "",
            private_ip=own_ip or params.text("PrivateIpAddress") or _private_address(call, switch, serial),
        )
        call.account.add(instance)
        make_disks(call, instance, system_disk, data_disks)
        instances.append(instance)
    return instances


def _machines(call: Call, amount: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Ids for new instances, and the addresses of the machines set aside for them: all, or none."""
    fleet = call.account.fleet
    ids = [new_id("i") for _ in range(amount)]
    addresses: list[tuple[str, str]] = []
    try:
        for instance_id in ids:
            addresses.append(fleet.create(instance_id))  # noqa: PERF401  (what was made must be known on failure)
    except Exception:
        for instance_id in ids[: len(addresses)]:
            fleet.remove(instance_id)
        raise
    return ids, addresses


def _check_addresses(call: Call, switch: VSwitch | None, amount: int) -> None:
    address = call.params.text("PrivateIpAddress")
    if address and (amount > 1 or switch is None):
        raise ApiError("InvalidParameter.Conflict", "PrivateIpAddress is for one instance in a VSwitch.")
    if switch and address:
        switch.check_address(call.account, address)
    elif switch and switch.free_count(call.account) < amount:
        raise ApiError("InvalidVSwitchId.IpInvalid")


def _private_address(call: Call, switch: VSwitch | None, serial: int) -> str:
    return switch.free_address(call.account) if switch else f"10.{serial >> 8 & 255}.{serial & 255}.1"


def _charge_by(call: Call) -> str:
    charge_by = call.params.text("InternetChargeType", "PayByTraffic")
    if charge_by not in ("PayByTraffic", "PayByBandwidth"):
        raise ApiError("InvalidInternetChargeType.ValueNotSupported")
    return charge_by


def _image(call: Call) -> Image:
    images = call.account.catalog.images
    image_id, family = call.params.text("ImageId"), call.params.text("ImageFamily")
    if image_id and family:
        raise ApiError("InvalidParameter.Conflict", "ImageId and ImageFamily exclude each other.")
    if not image_id and not family:
        raise missing("ImageId")
    matching = [image for image in images.values() if image.id == image_id or image.family == family]
    if not matching:
        raise ApiError("InvalidImageId.NotFound")
    return max(matching, key=lambda image: image.created)


def _type(call: Call, image: Image) -> InstanceType:
    kind = call.account.catalog.types.get(call.params.need("InstanceType"))
    if kind is None:
        raise ApiError("InvalidInstanceType.ValueNotSupported")
    if kind.arm != image.arm:
        raise ApiError("ImageNotSupportInstanceType")
    charge = call.params.text("InstanceChargeType", "PostPaid")
    if charge != "PostPaid":
        raise ApiError("InvalidInstanceChargeType.NotSupport")
    return kind


def _place(call: Call, kind: InstanceType) -> Place:
    account, params = call.account, call.params
    group_ids = params.numbered("SecurityGroupIds") or params.numbered("SecurityGroupId")
    if "SecurityGroupId" in params:
        if group_ids:
            raise ApiError("InvalidParameter.Conflict", "SecurityGroupId and SecurityGroupIds exclude each other.")
        group_ids = [params.text("SecurityGroupId")]
    if not group_ids:
        raise missing("SecurityGroupId")
    groups = [call.get(SecurityGroup, item) for item in group_ids]
    zones = account.catalog.zones(call.region)
    zone = params.text("ZoneId")
    if zone and zone not in zones:
        raise ApiError("InvalidZoneId.NotFound")
    switch = None
    if "VSwitchId" in params:
        switch = call.need(VSwitch, "VSwitchId")
        if switch.status(call.now) != "Available":
            raise ApiError("IncorrectVSwitchStatus")
        if zone and zone != switch.zone:
            raise ApiError("InvalidVpcZone.NotSupported")
        zone = switch.zone
    elif any(group.vpc_id for group in groups):
        raise ApiError("InvalidVSwitchId.Necessary")
    if any(group.vpc_id != (switch.vpc_id if switch else "") for group in groups):
        raise ApiError("InvalidParameter.Mismatch", "The security groups and the VSwitch are in different VPCs.")
    selling = [name for name in ([zone] if zone else zones) if account.catalog.sells(name, kind)]
    if not selling:
        raise ApiError("InvalidInstanceType.ZoneNotSupported")
    in_stock = [name for name in selling if call.faults.stock(name, kind.id) != 0]
    return Place((in_stock or selling)[0], switch, group_ids)


def _key_pair(call: Call) -> str:
    name = call.params.text("KeyPairName")
    if name and not any(key.name == name for key in call.existing(KeyPair)):
        raise ApiError("InvalidKeyPair.NotFound")
    if name and call.params.text("Password"):
        raise ApiError("InvalidParameter.Conflict", "KeyPairName and Password exclude each other.")
    return name


def _names(name: str, amount: int, unique: bool, code: str, pattern: str = r"[^\W\d_].{1,127}") -> list[str]:
    """The names of the instances: `name[begin,digits]suffix` counts, UniqueSuffix appends 001, 002, …"""
    counted = re.fullmatch(r"(.*)\[(\d*),(\d*)\](.*)", name)
    if counted:
        head, begin, digits, tail = counted.groups()
        names = [f"{head}{int(begin or 0) + index:0{int(digits or 1)}d}{tail}" for index in range(amount)]
    elif name and unique and amount > 1:
        names = [f"{name}{index + 1:03d}" for index in range(amount)]
    else:
        names = [name] * amount
    if name and not all(re.fullmatch(pattern, item) and not item.startswith(("http:", "https:")) for item in names):
        raise ApiError(code)
    return names


def _host_names(call: Call, amount: int) -> list[str]:
    pattern = r"(?=.{2,64}$)[A-Za-z0-9]+([.-][A-Za-z0-9]+)*"
    code = "InvalidHostName.Malformed"
    listed = call.params.numbered("HostNames")
    if not listed:
        return _names(call.params.text("HostName"), amount, call.params.flag("UniqueSuffix"), code, pattern)
    if len(listed) != amount:
        raise ApiError(code)
    return [_names(name, 1, False, code, pattern)[0] for name in listed]


def _user_data(call: Call) -> str:
    text = call.params.text("UserData")
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ApiError("InvalidUserData.Forbidden") from None
    if len(raw) > MAX_USER_DATA:
        raise ApiError("InvalidUserData.SizeExceeded")
    return text


def auto_release(call: Call, name: str) -> float | None:
    """A time of release: half an hour to three years ahead."""
    code = "InvalidAutoReleaseTime.Malformed"
    at = call.params.time(name, code)
    if at is not None and not 30 * 60 <= at - call.now <= 3 * 366 * 86400:
        raise ApiError(code)
    return at


def _spot(call: Call, kind: InstanceType) -> tuple[str, float, str]:
    """(strategy, price limit, behaviour on interruption)."""
    params = call.params
    strategy = params.text("SpotStrategy", "NoSpot")
    if strategy not in SPOT_STRATEGIES:
        raise ApiError("InvalidSpotStrategy")
    limit = params.amount("SpotPriceLimit", "InvalidSpotPriceLimit")
    if strategy == "SpotWithPriceLimit" and limit is None:
        raise ApiError("InvalidSpotPriceLimit")
    if strategy == "SpotWithPriceLimit" and limit is not None and limit < kind.price * SPOT_SHARE:
        raise ApiError("InvalidSpotPriceLimit.LowerThanPublicPrice")
    behaviour = params.text("SpotInterruptionBehavior", "Terminate")
    if behaviour not in ("Terminate", "Stop"):
        raise ApiError("InvalidSpotInterruptionBehavior")
    if params.text("SpotDuration", "1") not in ("0", "1"):
        raise ApiError("InvalidSpotDuration")
    return strategy, limit or 0.0, behaviour


def _limits(call: Call, kind: InstanceType, amount: int) -> None:
    account = call.account
    mine = [instance for instance in account.table(Instance).values() if instance.exists(call.now)]
    if len(mine) + amount > account.quotas["instances"]:
        raise ApiError("QuotaExceed.AfterpayInstance")
    used = sum(account.catalog.types[instance.instance_type].vcpus for instance in mine)
    if used + amount * kind.vcpus > account.quotas["vcpus"]:
        raise ApiError("QuotaExceed.ElasticQuota")
    if account.balance < LEAST_BALANCE:
        raise ApiError("InvalidAccountStatus.NotEnoughBalance")


def _stock(call: Call, kind: InstanceType, place: Place, amount: int, least: int) -> int:
    """How many there will be: as many as are in stock, if that is enough."""
    left = call.faults.stock(place.zone, kind.id)
    if left is not None and left < least:
        raise ApiError("OperationDenied.NoStock")
    return amount if left is None else min(amount, left)
