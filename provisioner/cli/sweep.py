"""`sweep`: what any deployment left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli.options import Json, Yes


def sweep(
    region: Annotated[str, typer.Option("--region", help="The region to search.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Find by tag what any deployment left behind in a region, show it, and after a yes remove it."""
    from provisioner.cli import online
    from provisioner.cli.console import Console

    online.sweep(region, yes, Console(as_json=as_json, goes_on=True))
