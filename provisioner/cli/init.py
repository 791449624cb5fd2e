"""`init`: an inventory to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli.console import line
from provisioner.errors import UsageError


def init(name: Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name.")] = "bf16") -> None:
    """Write a commented inventory NAME.yaml to start from."""
    from provisioner import inventory
    from provisioner.render import render

    path = Path(f"{name}.yaml")
    text = render("inventory.yaml", name=name)
    inventory.parse(text, str(path))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already", "choose another name, or remove it") from None
    line(f"wrote {path}; next: provisioner plan {path}")
