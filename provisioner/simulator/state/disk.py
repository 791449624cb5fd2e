"""Cloud disks: the system disk of each instance, and data disks, which may outlive theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.simulator.account import Resource
from provisioner.simulator.actions import Answer, Call, action, matches
from provisioner.simulator.answers import new_id, second, tag_list
from provisioner.simulator.errors import ApiError, invalid

if TYPE_CHECKING:
    from provisioner.simulator.catalog import Image, InstanceType
    from provisioner.simulator.state.instance import Instance

CATEGORIES = (
    "cloud", "cloud_efficiency", "cloud_ssd", "cloud_essd", "cloud_auto", "cloud_essd_entry",
    "cloud_regional_disk_auto",
)  # fmt: skip
LEAST_GIB = {"PL0": 1, "PL1": 20, "PL2": 461, "PL3": 1261}


@dataclass
class Disk(Resource, kind="disk", table="disks", not_found="InvalidDiskId.NotFound"):
    """A disk; `instance_id` is "" for one that is attached to nothing."""

    zone: str
    type: str
    category: str
    performance_level: str
    size_gib: int
    delete_with_instance: bool
    device: str
    instance_id: str
    image_id: str = ""

    def instance_released(self, instance_id: str, now: float) -> None:
        """Follow it, unless DeleteWithInstance says otherwise."""
        if self.instance_id == instance_id:
            self.instance_id = ""
            if self.delete_with_instance:
                self.released_at = now


@action("DescribeDisks")
def describe_disks(call: Call) -> Answer:
    """Disks by id, instance, kind, status, tag."""
    params = call.params
    ids = params.json_list("DiskIds")
    disks = [
        disk
        for disk in call.seen(Disk)
        if (ids is None or disk.id in ids)
        and params.text("InstanceId") in ("", disk.instance_id)
        and params.text("DiskType", "all") in ("all", disk.type)
        and params.text("Category", "all") in ("all", disk.category)
        and params.text("Status", "All") in ("All", _status(disk))
        and params.text("ZoneId") in ("", disk.zone)
        and matches(params.text("DiskName"), disk.name)
    ]
    page, paging = call.page(disks)
    return {"Disks": {"Disk": [_answer(disk) for disk in page]}, "RegionId": call.region, **paging}


@action("DeleteDisk")
def delete_disk(call: Call) -> Answer:
    """Remove a disk that is attached to nothing."""
    disk = call.need(Disk, "DiskId")
    if disk.instance_id:
        raise ApiError("IncorrectDiskStatus")
    call.checked()
    disk.released_at = call.now
    return {}


def read_system_disk(call: Call, kind: InstanceType, image: Image) -> tuple[str, str, int]:
    """The SystemDisk of a launch, checked: (category, performance level, size in GiB)."""
    params = call.params
    category = params.text("SystemDisk.Category", kind.disks[0])
    if category not in CATEGORIES:
        raise ApiError("InvalidSystemDiskCategory.ValueNotSupported")
    if category not in kind.disks:
        raise ApiError("InvalidDiskCategory.NotSupported")
    level = params.text("SystemDisk.PerformanceLevel", "PL0") if category == "cloud_essd" else ""
    if level and level not in LEAST_GIB:
        raise invalid("SystemDisk.PerformanceLevel")
    size = params.number(
        "SystemDisk.Size",
        max(40, image.size_gib),
        least=LEAST_GIB.get(level, 20),
        most=2048,
        code="InvalidSystemDiskSize.ValueNotSupported",
    )
    if size < image.size_gib:
        raise ApiError("InvalidSystemDiskSize.LessThanImageSize")
    return category, level, size


def read_data_disks(call: Call, allowed: tuple[str, ...]) -> list[dict[str, str]]:
    """The DataDisk.N of a launch, checked."""
    disks = call.params.structures("DataDisk")
    if len(disks) > 16:
        raise ApiError("InstanceDiskNumber.LimitExceed", "The total number of disks exceeds the limit.", 400)
    for disk in disks:
        if disk.get("Category", "cloud_essd") not in allowed:
            raise ApiError("InvalidDataDiskCategory.ValueNotSupported")
        size = disk.get("Size", "")
        if not size.isdigit() or not 20 <= int(size) <= 32768:
            raise ApiError("InvalidDataDiskSize.ValueNotSupported")
        if disk.get("DeleteWithInstance", "true").lower() not in ("true", "false"):
            raise invalid("DataDisk.DeleteWithInstance")
    return disks


def make_disks(call: Call, instance: Instance, system: tuple[str, str, int], data: list[dict[str, str]]) -> None:
    """The disks of a new instance, with its tags."""
    account = call.account
    rows = [("system", *system, True, call.params.text("SystemDisk.DiskName"))]
    rows += [
        (
            "data",
            disk.get("Category", "cloud_essd"),
            disk.get("PerformanceLevel", "PL0"),
            int(disk["Size"]),
            disk.get("DeleteWithInstance", "true").lower() == "true",
            disk.get("DiskName", ""),
        )
        for disk in data
    ]
    for index, (kind, category, level, size, delete, name) in enumerate(rows):
        disk = Disk(
            id=new_id("d"),
            serial=account.next_serial(),
            region=instance.region,
            name=name,
            created=call.now,
            tags=dict(instance.tags),
            zone=instance.zone,
            type=kind,
            category=category,
            performance_level=level,
            size_gib=size,
            delete_with_instance=delete,
            device=f"/dev/xvd{'abcdefghijklmnopqrstuvwxyz'[index]}",
            instance_id=instance.id,
            image_id=instance.image_id if kind == "system" else "",
        )
        account.add(disk)


def _status(disk: Disk) -> str:
    return "In_use" if disk.instance_id else "Available"


def _answer(disk: Disk) -> Answer:
    return {
        "DiskId": disk.id,
        "DiskName": disk.name,
        "RegionId": disk.region,
        "ZoneId": disk.zone,
        "Type": disk.type,
        "Category": disk.category,
        "PerformanceLevel": disk.performance_level,
        "Size": disk.size_gib,
        "Status": _status(disk),
        "InstanceId": disk.instance_id,
        "Device": disk.device,
        "ImageId": disk.image_id,
        "DeleteWithInstance": disk.delete_with_instance,
        "Portable": disk.type == "data",
        "Encrypted": False,
        "DiskChargeType": "PostPaid",
        "Description": "",
        "SourceSnapshotId": "",
        "ProductCode": "",
        "EnableAutoSnapshot": False,
        "DeleteAutoSnapshot": True,
        "CreationTime": second(disk.created),
        "AttachedTime": second(disk.created) if disk.instance_id else "",
        "DetachedTime": "",
        "OperationLocks": {"OperationLock": []},
        "Tags": tag_list(disk.tags),
    }
