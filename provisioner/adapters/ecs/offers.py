"""What can be had: zones, stock, instance types, images and prices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from provisioner.adapters.ecs.action_group import ActionGroup, batches
from provisioner.adapters.ecs.api import dig
from provisioner.adapters.ecs.instances import spot, system_disk
from provisioner.errors import TypeRefusedError
from provisioner.resources import Identity, Image, InstanceRequest, Price, TypeOffer

TYPES_A_CALL = 10
ARCHITECTURES = {"X86": "x86_64", "ARM": "arm64"}
IN_STOCK = ("WithStock", "ClosedWithStock")
"""The second: there is some, but none will be added."""
NEEDED = ("Instance", "VSwitch")
"""What a zone must let be created."""


class Offers(ActionGroup):
    """Everything that is asked before something is created."""

    def zones(self) -> list[str]:
        """DescribeZones: the region's zones that take new instances and VSwitches."""
        body = self._api.call("DescribeZones", {"Verbose": True}, expect="Zones")
        return sorted(
            str(zone["ZoneId"])
            for zone in dig(body, "Zones.Zone", [])
            if set(NEEDED) <= set(dig(zone, "AvailableResourceCreation.ResourceTypes", NEEDED))
        )

    def stock(self, instance_types: Sequence[str], *, spot: bool = False) -> dict[str, list[str]]:
        """DescribeAvailableResource: the zones in stock for each type; a type without stock has an empty list.

        One call whatever the number of types. Zones with plenty come before those that are running out.
        """
        asked = {
            "DestinationResource": "InstanceType",
            "InstanceChargeType": "PostPaid",
            "IoOptimized": "optimized",
            "NetworkCategory": "vpc",
            "SpotStrategy": "SpotAsPriceGo" if spot else "NoSpot",
            **({"InstanceType": instance_types[0]} if len(instance_types) == 1 else {}),
        }
        body = self._api.call("DescribeAvailableResource", asked)
        ranked_zones: dict[str, list[tuple[int, str]]] = {name: [] for name in instance_types}
        for zone in dig(body, "AvailableZones.AvailableZone", []):
            for resource in dig(zone, "AvailableResources.AvailableResource", []):
                for offer in dig(resource, "SupportedResources.SupportedResource", []):
                    category = offer.get("StatusCategory", IN_STOCK[0])
                    if (
                        offer.get("Value") in ranked_zones
                        and offer.get("Status") == "Available"
                        and category in IN_STOCK
                    ):
                        ranked_zones[offer["Value"]].append((IN_STOCK.index(category), str(zone["ZoneId"])))
        return {name: [zone for _, zone in sorted(set(zones))] for name, zones in ranked_zones.items()}

    def type_offers(self, instance_types: Sequence[str]) -> list[TypeOffer]:
        """DescribeInstanceTypes: those of `instance_types` that the service knows."""
        items = (
            item
            for batch in batches(instance_types, TYPES_A_CALL)
            for item in self._api.items("DescribeInstanceTypes", {"InstanceTypes": batch})
        )
        return [
            TypeOffer(
                instance_type=str(item["InstanceTypeId"]),
                vcpus=int(item.get("CpuCoreCount") or 0),
                memory_gib=float(item.get("MemorySize") or 0),
                cpu_model=str(item.get("PhysicalProcessorModel") or ""),
                architecture=ARCHITECTURES.get(
                    str(item.get("CpuArchitecture")), str(item.get("CpuArchitecture") or "")
                ),
                threads_per_core=int(dig(item, "CpuOptions.ThreadsPerCore", 0) or 0),
            )
            for item in items
            if item.get("InstanceTypeId") in instance_types
        ]

    def newest_image(self, family: str, instance_type: str) -> Image:
        """DescribeImages: the newest image of a system image family. Raises TypeRefusedError when the type has none."""
        asked = {
            "ImageFamily": family,
            "ImageOwnerAlias": "system",
            "InstanceType": instance_type,
            "Status": "Available",
        }
        images = self._api.items("DescribeImages", asked)
        if not images:
            raise TypeRefusedError(
                f"the image family {family} has no image for {instance_type} in {self.region}",
                "correct cloud.image_family, or name a cloud.image_id, or an instance type that the family is made for",
                action="DescribeImages",
            )
        newest = max(images, key=lambda item: str(item.get("CreationTime") or ""))
        return Image(
            id=str(newest["ImageId"]),
            family=str(newest.get("ImageFamily") or family),
            name=str(newest.get("ImageName") or newest.get("OSName") or ""),
            size_gib=int(newest.get("Size") or 0),
            created_at=str(newest.get("CreationTime") or ""),
        )

    def price(self, request: InstanceRequest) -> Price:
        """DescribePrice for one instance of this kind, with its disk and bandwidth, per hour.

        Traffic is paid by volume and not in it. Raises NoCapacityError when the type has no price in the zone.
        """
        asked = {
            "ResourceType": "instance",
            "InstanceType": request.instance_type,
            "ZoneId": request.zone,
            "PriceUnit": "Hour",
            "Period": 1,
            "Amount": 1,
            "SystemDisk": system_disk(request.system_disk),
            "InternetMaxBandwidthOut": request.internet_bandwidth_mbps,
            "InternetChargeType": "PayByTraffic",
            "SpotStrategy": spot(request.spot)["SpotStrategy"],
        }
        if request.image_id:
            asked["ImageId"] = request.image_id
        body = self._api.call("DescribePrice", asked, expect="PriceInfo.Price.TradePrice")
        price = body["PriceInfo"]["Price"]
        return Price(per_hour=float(price["TradePrice"]), currency=str(price.get("Currency") or ""))

    def free_vcpus(self, *, spot: bool = False) -> int | None:
        """DescribeAccountAttributes: how many more vCPUs the account's quota allows; None where it does not say."""
        kind = "spot" if spot else "postpaid"
        names = [f"{which}-{kind}-instance-vcpu-count" for which in ("max", "used")]
        body = self._api.call("DescribeAccountAttributes", {"AttributeName": names})
        values = {
            item.get("AttributeName"): dig(item, "AttributeValues.ValueItem", [])
            for item in dig(body, "AccountAttributeItems.AccountAttributeItem", [])
        }
        if not all(values.get(name) for name in names):
            return None
        most, used = (int(values[name][0]["Value"]) for name in names)
        return most - used

    @cached_property
    def account_id(self) -> str:
        """The account that the credentials belong to; asked once."""
        return self.caller_identity().account_id

    def caller_identity(self) -> Identity:
        """GetCallerIdentity (STS): who the credentials belong to. It needs no permission."""
        body = self._api.call("GetCallerIdentity", {}, expect="AccountId")
        return Identity(account_id=str(body["AccountId"]), arn=str(body.get("Arn") or ""))
