"""What the service tells about its offers: regions, zones, types, stock and prices."""

from __future__ import annotations

from provisioner.simulator import paging
from provisioner.simulator.actions import ECS, VPC, Answer, Call, action
from provisioner.simulator.catalog import InstanceType
from provisioner.simulator.errors import ApiError, invalid

SPOT_SHARE = 0.2  # of the ordinary price
DISK_PRICE = {"PL0": 0.0010, "PL1": 0.0021, "PL2": 0.0042, "PL3": 0.0084}  # per GiB and hour


@action("DescribeRegions", versions=(ECS, VPC))
def describe_regions(call: Call) -> Answer:
    """Every region, wherever the call comes from."""
    regions = [
        {"RegionId": name, "LocalName": name, "RegionEndpoint": f"ecs.{name}.aliyuncs.com", "Status": "available"}
        for name in call.account.catalog.regions
    ]
    return {"Regions": {"Region": regions}}


@action("DescribeZones", versions=(ECS, VPC))
def describe_zones(call: Call) -> Answer:
    """The zones of a region, with what they sell; without Verbose only their names."""
    catalog = call.account.catalog
    zones: list[Answer] = []
    for zone in catalog.zones(call.region):
        if not call.params.flag("Verbose", True):
            zones.append({"ZoneId": zone, "LocalName": zone, "ZoneType": "AvailabilityZone"})
            continue
        sold = [kind for kind in catalog.types.values() if catalog.sells(zone, kind)]
        families = sorted({kind.family for kind in sold})
        zones.append(
            {
                "ZoneId": zone,
                "LocalName": zone,
                "ZoneType": "AvailabilityZone",
                "AvailableResourceCreation": {"ResourceTypes": catalog.creates(zone)},
                "AvailableDiskCategories": {"DiskCategories": sorted({disk for kind in sold for disk in kind.disks})},
                "AvailableInstanceTypes": {"InstanceTypes": [kind.id for kind in sold]},
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
    names = params.numbered("InstanceTypes")
    if len(names) > 100:
        raise invalid("InstanceTypes", "has over 100 elements")
    families = [params.text("InstanceTypeFamily")] if "InstanceTypeFamily" in params else []
    families += params.numbered("InstanceTypeFamilies")
    architecture = params.text("CpuArchitecture")
    kinds = [
        kind
        for kind in call.account.catalog.types.values()
        if (not names or kind.id in names)
        and (not families or kind.family in families)
        and architecture in ("", "ARM" if kind.arm else "X86")
    ]
    page, about = paging.by_token(params, kinds, default=100, least=1, most=1600)
    return {"InstanceTypes": {"InstanceType": [_type_answer(kind) for kind in page]}, "NextToken": about["NextToken"]}


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
    zone = params.text("ZoneId")
    if zone and (zone not in call.account.catalog.zones(call.region) or not call.account.catalog.sells(zone, kind)):
        raise ApiError("PriceNotFound")
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
