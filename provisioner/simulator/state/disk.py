"""Cloud disks: the system disk of each instance, and data disks, which may outlive theirs."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.simulator.actions import Answer, Call, action, matches
from provisioner.simulator.errors import ApiError, invalid
from provisioner.simulator.state.resource import Resource, second, tag_list


@dataclass
class Disk(Resource):
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


@action("DescribeDisks")
def describe_disks(call: Call) -> Answer:
    """Disks by id, instance, kind, status, tag."""
    params = call.params
    ids = params.json_list("DiskIds")
    found = [
        disk
        for disk in call.seen(call.account.disks)
        if (ids is None or disk.id in ids)
        and params.text("InstanceId") in ("", disk.instance_id)
        and params.text("DiskType", "all") in ("all", disk.type)
        and params.text("Category", "all") in ("all", disk.category)
        and params.text("Status", "All") in ("All", _status(disk))
        and params.text("ZoneId") in ("", disk.zone)
        and matches(params.text("DiskName"), disk.name)
    ]
    page, paging = call.page(found)
    return {"Disks": {"Disk": [_answer(disk) for disk in page]}, "RegionId": call.region, **paging}


@action("DeleteDisk")
def delete_disk(call: Call) -> Answer:
    """Remove a disk that is attached to nothing."""
    disk = _find(call)
    if disk.instance_id:
        raise ApiError("IncorrectDiskStatus")
    call.checked()
    disk.released_at = call.now
    return {}


def _find(call: Call) -> Disk:
    disk = call.account.disks.get(call.params.need("DiskId"))
    if disk is None or disk.released_at is not None:
        raise ApiError("InvalidDiskId.NotFound")
    return disk


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
