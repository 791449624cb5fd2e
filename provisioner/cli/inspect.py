"""types and doctor: what can be rented, and whether this machine is ready."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli.app import app, command
from provisioner.errors import ProvisionerError


@command(app)
def types(
    region: Annotated[
        str | None, typer.Option("--region", help="Ask this region for stock and price; without it, the catalog alone.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
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


@command(app)
def doctor(as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False) -> None:
    """Check this machine: credentials, keys, Java, Docker, bfloat16; each with its remedy."""
    from provisioner.cli.console import Console
    from provisioner.operations.doctor import all_checks

    console = Console(as_json=as_json)
    results = all_checks()
    if as_json:
        console.result([{"check": c.name, "ok": c.ok, "found": c.found, "remedy": c.remedy} for c in results])
    else:
        for check in results:
            console.say(f"  {'ok  ' if check.ok else 'none'} {check.name:24} {check.found}")
            if not check.ok:
                console.say(f"       {'':24} {check.remedy}")
    missing = [check.name for check in results if not check.ok and check.needed]
    if missing:
        raise ProvisionerError(f"not ready: {', '.join(missing)}", "the lines above say what to do")
