"""Images: the system images of the data file."""

from __future__ import annotations

from provisioner.simulator.actions import Answer, Call, action, matches
from provisioner.simulator.catalog import Image
from provisioner.simulator.errors import ApiError


@action("DescribeImages")
def describe_images(call: Call) -> Answer:
    """System images, newest of a family last; also by family, id, architecture, and what an instance type can run."""
    params = call.params
    catalog = call.account.catalog
    if params.text("OSType") not in ("", "linux", "windows"):
        raise ApiError("InvalidOSType", "The specified OSType is not valid.", 404)
    if params.text("Architecture") not in ("", "x86_64", "i386", "arm64"):
        raise ApiError("InvalidArchitecture", "The specified Architecture is not valid.", 404)
    if params.text("ImageOwnerAlias") not in ("", "system", "self", "others", "marketplace"):
        raise ApiError("InvalidImageOwnerAlias.ValueNotSupported", "The specified ImageOwnerAlias is not valid.", 400)
    kind = catalog.types.get(params.text("InstanceType"))
    if "InstanceType" in params and kind is None:
        raise ApiError("InvalidInstanceType.ValueNotSupported")
    ids = [item for item in params.text("ImageId").split(",") if item]
    images = [
        image
        for image in catalog.images.values()
        if params.text("ImageFamily") in ("", image.family)
        and params.text("Architecture") in ("", _architecture(image))
        and params.text("OSType") in ("", "linux")
        and params.text("ImageOwnerAlias") in ("", "system")
        and (kind is None or kind.arm == image.arm)
        and (not ids or image.id in ids)
        and matches(params.text("ImageName"), image.id)
    ]
    page, paging = call.page(images)
    return {
        "Images": {"Image": [_answer(image) for image in page]},
        "RegionId": call.region,
        **paging,
    }


def _architecture(image: Image) -> str:
    return "arm64" if image.arm else "x86_64"


def _answer(image: Image) -> Answer:
    return {
        "ImageId": image.id,
        "ImageName": image.id,
        "ImageFamily": image.family,
        "ImageOwnerAlias": "system",
        "ImageVersion": "",
        "Description": "",
        "CreationTime": image.created,
        "Status": "Available",
        "Progress": "100%",
        "Usage": "none",
        "ProductCode": "",
        "OSName": image.os_name,
        "OSNameEn": image.os_name,
        "OSType": "linux",
        "Platform": image.platform,
        "Size": image.size_gib,
        "Architecture": _architecture(image),
        "IsSubscribed": False,
        "IsCopied": False,
        "IsSelfShared": "",
        "IsSupportCloudinit": True,
        "IsSupportIoOptimized": True,
        "LoginAsNonRootSupported": True,
        "DiskDeviceMappings": {"DiskDeviceMapping": []},
    }
