"""`types`: what can be rented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.options import Json

if TYPE_CHECKING:
    from provisioner.catalog import InstanceType
    from provisioner.operations.instance_types import Offer


def types(
    region: Annotated[
        str | None, typer.Option("--region", help="Ask this region for stock and price; without it, the catalog alone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List instance types that can do bfloat16."""
    import provisioner
    from provisioner import catalog
    from provisioner.cli.console import Console

    console = Console(as_json=as_json)
    instance_types = catalog.bf16_types()
    offers = provisioner.offers(region, [each.name for each in instance_types]) if region else {}
    if as_json:
        console.result([_as_json(each, offers.get(each.name)) for each in instance_types])
        return
    headers = ["TYPE", "VCPU", "GIB", "BF16 BY"]
    if region:
        currency = next((offer.currency for offer in offers.values() if offer.currency), "")
        headers += ["ZONES IN STOCK", f"{currency}/H", f"SPOT {currency}/H", f"{currency}/VCPU-H"]
    else:
        headers += ["CPU"]
    console.table(headers, [_row(each, offers.get(each.name)) for each in instance_types])


def _as_json(instance_type: InstanceType, offer: Offer | None) -> dict[str, object]:
    document: dict[str, object] = {
        "instance_type": instance_type.name,
        "vcpus": instance_type.vcpus,
        "memory_gib": instance_type.memory_gib,
        "isa": list(instance_type.isa),
        "cpu": instance_type.cpu,
    }
    return {**document, **offer.as_json()} if offer else document


def _row(instance_type: InstanceType, offer: Offer | None) -> list[object]:
    from provisioner.catalog import bf16_of

    row = [
        instance_type.name,
        instance_type.vcpus,
        f"{instance_type.memory_gib:g}",
        " ".join(bf16_of(instance_type.isa)),
    ]
    if offer is None:
        return [*row, instance_type.cpu]
    per_vcpu = offer.pay_as_you_go / instance_type.vcpus if offer.pay_as_you_go else None
    prices = (offer.pay_as_you_go, offer.spot, per_vcpu)
    return [*row, ", ".join(offer.zones) or "-", *(f"{price:.4g}" if price is not None else "-" for price in prices)]
