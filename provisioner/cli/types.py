"""`types`: what can be rented."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli.options import Json


def types(
    region: Annotated[
        str | None, typer.Option("--region", help="Ask this region for stock and price; without it, the catalog alone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List instance types that can do bfloat16."""
    from provisioner import catalog
    from provisioner.cli.console import Console

    console = Console(as_json=as_json)
    known = catalog.bf16_types()
    found = [
        {
            "instance_type": each.name,
            "vcpus": each.vcpus,
            "memory_gib": each.memory_gib,
            "isa": list(each.isa),
            "cpu": each.cpu,
        }
        for each in known
    ]
    headers = ["TYPE", "VCPU", "GIB", "BF16 BY", "CPU"]
    rows = [
        [each.name, each.vcpus, f"{each.memory_gib:g}", " ".join(catalog.bf16_of(each.isa)), each.cpu] for each in known
    ]
    if region:
        from provisioner.operations.offers import offers

        offered = offers(region, [each.name for each in known])
        for row, item in zip(rows, found, strict=True):
            offer = offered[str(row[0])]
            item |= offer
            row[4:] = [
                ", ".join(offer["zones"]) or "-",
                *(f"{offer[kind]:.4g}" if offer[kind] is not None else "-" for kind in ("pay_as_you_go", "spot")),
                f"{offer['pay_as_you_go'] / int(str(row[1])):.4g}" if offer["pay_as_you_go"] else "-",
            ]
        currency = next((o["currency"] for o in offered.values() if o["currency"]), "")
        headers[4:] = ["ZONES IN STOCK", f"{currency}/H", f"SPOT {currency}/H", f"{currency}/VCPU-H"]
    if as_json:
        console.result(found)
    else:
        console.table(headers, rows)
