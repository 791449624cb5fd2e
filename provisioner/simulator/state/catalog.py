"""What can be bought: regions, zones, instance types, images, prices. Facts come from the program's data files.

Which zone sells what, and every price, is fiction: each region's first zone has only the families without bfloat16,
the others have all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import yaml

from provisioner.simulator.actions import ECS, VPC, Answer, Call, action
from provisioner.simulator.errors import ApiError, invalid

DATA = Path(__file__).parents[2] / "data"

REGIONS = {
    "cn-hangzhou": "bghijk",
    "cn-shanghai": "befglmn",
    "cn-beijing": "acfghijkl",
    "cn-shenzhen": "cdefg",
    "cn-heyuan": "ab",
    "cn-hongkong": "bcd",
    "ap-southeast-1": "abc",
    "eu-central-1": "abc",
    "us-east-1": "ab",
}

VCPU_PRICE = 0.152  # per hour; what hfc7.large cost in 2021 is twice that
SPOT_SHARE = 0.2
DISK_PRICE = {"PL0": 0.0010, "PL1": 0.0021, "PL2": 0.0042, "PL3": 0.0084}  # per GiB and hour


@dataclass(frozen=True)
class InstanceType:
    """An instance type; `bf16` tells where it is sold."""

    id: str
    family: str
    vcpus: int
    memory_gib: float
    cpu: str
    arm: bool
    bf16: bool
    clock_ghz: float
    threads_per_core: int
    split_siblings: bool
    disks: tuple[str, ...]

    @property
    def price(self) -> float:
        """What one costs an hour."""
        return round(self.vcpus * VCPU_PRICE, 3)


@dataclass(frozen=True)
class Image:
    """A system image."""

    id: str
    family: str
    arm: bool
    size_gib: int
    os_name: str
    platform: str
    serial: int
    created: str


@dataclass(frozen=True)
class Catalog:
    """Everything that is for sale."""

    types: Mapping[str, InstanceType]
    images: Mapping[str, Image]
    regions: Mapping[str, str] = field(default_factory=lambda: REGIONS)

    def zones(self, region: str) -> list[str]:
        """The zones of a region."""
        joint = "" if region[-1].isdigit() else "-"
        return [f"{region}{joint}{letter}" for letter in self.regions[region]]

    def sells(self, zone: str, instance_type: InstanceType) -> bool:
        """Whether a zone has a type at all (stock aside)."""
        region = next(name for name in self.regions if zone in self.zones(name))
        return not instance_type.bf16 or zone != self.zones(region)[0]


@lru_cache(maxsize=4)
def load(folder: Path = DATA) -> Catalog:
    """The catalogue that the data files make."""
    types: dict[str, InstanceType] = {}
    with (folder / "families.yaml").open(encoding="utf-8") as file:
        families = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (both are safe)
    for bf16, group in ((True, families["bf16"]), (False, families["not_bf16"])):
        for family, facts in group.items():
            for size, row in facts["sizes"].items():
                name = f"{family}.{size}"
                types[name] = InstanceType(
                    id=name,
                    family=family,
                    vcpus=row["vcpus"],
                    memory_gib=row["memory_gib"],
                    cpu=facts["cpu"],
                    arm=facts["architecture"] == "arm64",
                    bf16=bf16,
                    clock_ghz=facts.get("clock_ghz", 2.7),
                    threads_per_core=facts.get("threads_per_core", 2),
                    split_siblings=facts.get("siblings") == "split",
                    disks=tuple(facts["disks"]),
                )
    return Catalog(types, _images(folder))


def _images(folder: Path) -> dict[str, Image]:
    with (folder / "images.yaml").open(encoding="utf-8") as file:
        families = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (both are safe)
    images: dict[str, Image] = {}
    for family, facts in families["families"].items():
        for number, name in enumerate(facts["images"]):
            date = name.rpartition("_")[2].removesuffix(".vhd")
            arm = facts["architecture"] == "arm64"
            created = f"{date[:4]}-{date[4:6]}-{date[6:8]}T02:00:00Z" if len(date) == 8 and date.isdigit() else ""
            os_name = f"{facts['distribution'].capitalize()}  {facts['version']} 64 bit{' for ARM' if arm else ''}"
            images[name] = Image(
                id=name,
                family=family,
                arm=arm,
                size_gib=facts["size_gib"],
                os_name=os_name,
                platform=facts["distribution"].capitalize(),
                serial=len(images),
                created=created or f"2026-01-{number + 1:02d}T02:00:00Z",
            )
    return images


@action("DescribeRegions", versions=(ECS, VPC))
def describe_regions(call: Call) -> Answer:
    """All regions."""
    regions = [
        {"RegionId": name, "LocalName": name, "RegionEndpoint": f"ecs.{name}.aliyuncs.com", "Status": "available"}
        for name in call.account.catalog.regions
    ]
    return {"Regions": {"Region": regions}}


@action("DescribeZones", versions=(ECS, VPC))
def describe_zones(call: Call) -> Answer:
    """The zones of a region, with what they sell."""
    catalog = call.account.catalog
    zones = []
    for zone in catalog.zones(call.region):
        sold = [kind for kind in catalog.types.values() if catalog.sells(zone, kind)]
        families = sorted({kind.family for kind in sold})
        zones.append(
            {
                "ZoneId": zone,
                "LocalName": zone,
                "ZoneType": "AvailabilityZone",
                "AvailableResourceCreation": {"ResourceTypes": ["Instance", "Disk", "VSwitch", "IoOptimized"]},
                "AvailableDiskCategories": {"DiskCategories": sorted({disk for kind in sold for disk in kind.disks})},
                "AvailableInstanceTypes": {"InstanceTypes": [] if _brief(call) else [kind.id for kind in sold]},
                "AvailableResources": {
                    "ResourcesInfo": [
                        {
                            "IoOptimized": True,
                            "InstanceTypeFamilies": {"supportedInstanceTypeFamily": families},
                            "NetworkTypes": {"supportedNetworkCategory": ["vpc"]},
                        }
                    ]
                },
            }
        )
    return {"Zones": {"Zone": zones}}


def _brief(call: Call) -> bool:
    return call.params.text("Verbose", "true").lower() == "false"


@action("DescribeInstanceTypeFamilies")
def describe_instance_type_families(call: Call) -> Answer:
    """The families of instance types."""
    generation = call.params.text("Generation")
    families = sorted({kind.family for kind in call.account.catalog.types.values()})
    listed = [{"InstanceTypeFamilyId": name, "Generation": "ecs-6"} for name in families if generation in ("", "ecs-6")]
    return {"InstanceTypeFamilies": {"InstanceTypeFamily": listed}}


@action("DescribeInstanceTypes")
def describe_instance_types(call: Call) -> Answer:
    """Instance types, 100 to a page: only the first comes unless NextToken asks on."""
    params = call.params
    wanted = params.numbered("InstanceTypes")
    if len(wanted) > 100:
        raise invalid("InstanceTypes", "has over 100 elements")
    families = [params.text("InstanceTypeFamily")] if "InstanceTypeFamily" in params else []
    families += params.numbered("InstanceTypeFamilies")
    architecture = params.text("CpuArchitecture")
    found = [
        kind
        for kind in call.account.catalog.types.values()
        if (not wanted or kind.id in wanted)
        and (not families or kind.family in families)
        and architecture in ("", "ARM" if kind.arm else "X86")
    ]
    size = params.number("MaxResults", 100, least=1, most=1600)
    token = params.text("NextToken")
    if token and not token.isdigit():
        raise invalid("NextToken")
    first = int(token or 0)
    more = str(first + size) if len(found) > first + size else ""
    return {
        "InstanceTypes": {"InstanceType": [_type_answer(kind) for kind in found[first : first + size]]},
        "NextToken": more,
    }


def _type_answer(kind: InstanceType) -> Answer:
    topologies = ["ContinuousCoreToHTMapping"] + (["DiscreteCoreToHTMapping"] if kind.split_siblings else [])
    return {
        "InstanceTypeId": kind.id,
        "InstanceTypeFamily": kind.family,
        "InstanceFamilyLevel": "EnterpriseLevel",
        "InstanceCategory": "High Clock Speed" if ".hf" in kind.family else "General-purpose",
        "CpuCoreCount": kind.vcpus,
        "MemorySize": float(kind.memory_gib),
        "CpuArchitecture": "ARM" if kind.arm else "X86",
        "CpuSpeedFrequency": kind.clock_ghz,
        "PhysicalProcessorModel": kind.cpu,
        "GPUAmount": 0,
        "GPUSpec": "",
        "EniQuantity": 2,
        "NvmeSupport": "unsupported",
        "CpuOptions": {
            "Core": kind.vcpus // kind.threads_per_core,
            "CoreFactor": 2,
            "ThreadsPerCore": kind.threads_per_core,
            "HyperThreadingAdjustable": kind.threads_per_core > 1,
            "SupportedTopologyTypes": {"SupportedTopologyType": topologies},
        },
    }


@action("DescribeAvailableResource")
def describe_available_resource(call: Call) -> Answer:
    """Where a type is in stock, or which disk categories a zone takes with it."""
    params = call.params
    catalog = call.account.catalog
    region = params.need("RegionId")
    if region not in catalog.regions:
        raise ApiError("Invalid.RegionId")
    destination = params.need("DestinationResource")
    if destination not in ("Zone", "IoOptimized", "InstanceType", "Network", "SystemDisk", "DataDisk"):
        raise invalid("DestinationResource")
    kinds = [kind for kind in catalog.types.values() if params.text("InstanceType") in ("", kind.id)]
    zones = []
    for zone in catalog.zones(region):
        sold = [kind for kind in kinds if catalog.sells(zone, kind)]
        if params.text("ZoneId") not in ("", zone) or not sold:
            continue
        left = {kind.id: call.faults.stock(zone, kind.id) != 0 for kind in sold}
        some = any(left.values())
        if destination == "InstanceType":
            values = left
        elif destination in ("SystemDisk", "DataDisk"):
            values = {disk: some for kind in sold for disk in kind.disks}
        else:
            values = {{"Zone": zone, "IoOptimized": "optimized", "Network": "vpc"}[destination]: some}
        resources = [
            {
                "Value": value,
                **_stock(has),
                **({"Min": 20, "Max": 2048, "Unit": "GiB"} if destination.endswith("Disk") else {}),
            }
            for value, has in values.items()
        ]
        zones.append(
            {
                "RegionId": region,
                "ZoneId": zone,
                **_stock(some),
                "AvailableResources": {
                    "AvailableResource": [{"Type": destination, "SupportedResources": {"SupportedResource": resources}}]
                },
            }
        )
    return {"AvailableZones": {"AvailableZone": zones}} if zones else {}


def _stock(has: bool) -> dict[str, str]:
    if has:
        return {"Status": "Available", "StatusCategory": "WithStock"}
    return {"Status": "SoldOut", "StatusCategory": "WithoutStock"}


@action("DescribePrice")
def describe_price(call: Call) -> Answer:
    """The price of instances, their system disk included. Prices are fiction; traffic is not in them."""
    params = call.params
    call.region  # noqa: B018  (must exist)
    if params.text("ResourceType", "instance") != "instance":
        raise ApiError("PriceNotFound")
    kind = call.account.catalog.types.get(params.need("InstanceType"))
    if kind is None:
        raise ApiError("InvalidInstanceType.ValueNotSupported")
    hours = {"Hour": 1, "Day": 24, "Week": 168, "Month": 720, "Year": 8640}
    unit = params.text("PriceUnit", "Hour")
    if unit not in hours:
        raise invalid("PriceUnit")
    amount = params.number("Amount", 1, least=1, most=1000)
    spot = params.text("SpotStrategy", "NoSpot") != "NoSpot"
    factor = hours[unit] * params.number("Period", 1, least=1, most=1000) * amount
    size = params.number("SystemDisk.Size", 40, least=1, most=2048)
    level = params.text("SystemDisk.PerformanceLevel", "PL1")
    full = kind.price * factor
    parts = {
        "instanceType": (full, full * (SPOT_SHARE if spot else 1)),
        "systemDisk": (size * DISK_PRICE.get(level, 0.0021) * factor,) * 2,
        "bandwidth": (0.0, 0.0),
    }
    original, trade = (round(sum(part[index] for part in parts.values()), 6) for index in (0, 1))
    return {
        "PriceInfo": {
            "Price": {
                **_price(original, trade),
                "Currency": "CNY" if call.region.startswith("cn-") else "USD",
                "DetailInfos": {
                    "DetailInfo": [{"Resource": name, **_price(*part)} for name, part in parts.items()],
                },
            },
            "Rules": {"Rule": []},
        }
    }


def _price(original: float, trade: float) -> dict[str, float]:
    return {
        "OriginalPrice": round(original, 6),
        "TradePrice": round(trade, 6),
        "DiscountPrice": round(original - trade, 6),
    }
