"""Stock and prices of many instance types in one region."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from provisioner.errors import CloudRefusedError
from provisioner.inventory.spec import SpotSpec, SystemDiskSpec
from provisioner.resources import InstanceRequest


def offers(region: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each type: zones in stock, and where it has any its price an hour as pay-as-you-go and as spot."""
    from provisioner.cli import wiring

    cloud = wiring.cloud_of_region(region, lambda text: None)
    stock = cloud.stock(names)

    def price(name: str, spot: SpotSpec | None) -> tuple[float | None, str]:
        request = InstanceRequest(
            names=["types"],
            instance_type=name,
            zone=stock[name][0],
            image_id="",
            vswitch_id="",
            security_group_id="",
            key_pair="",
            system_disk=SystemDiskSpec(size_gib=40),
            internet_bandwidth_mbps=1,
            spot=spot,
        )
        try:
            found = cloud.price(request)
        except CloudRefusedError:
            return None, ""  # not sold that way here; the table shows a dash
        return found.per_hour, found.currency

    in_stock = [name for name in names if stock.get(name)]
    with ThreadPoolExecutor(8) as pool:
        regular = dict(zip(in_stock, pool.map(lambda name: price(name, None), in_stock), strict=True))
        spot = dict(zip(in_stock, pool.map(lambda name: price(name, SpotSpec()), in_stock), strict=True))
    return {
        name: {
            "zones": stock.get(name, []),
            "pay_as_you_go": regular.get(name, (None, ""))[0],
            "spot": spot.get(name, (None, ""))[0],
            "currency": regular.get(name, (None, ""))[1],
        }
        for name in names
    }
