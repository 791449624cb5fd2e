"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Inventory = Annotated[Path, typer.Argument(metavar="INVENTORY", help="The YAML inventory.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name (the inventory's `name`).")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
Online = Annotated[bool, typer.Option("--online", help="Ask the cloud too: permissions, stock, price, what exists.")]
Host = Annotated[str | None, typer.Option("--host", help="Which host; by default the first.")]
Container = Annotated[bool, typer.Option("--container", help="Inside the container.")]
