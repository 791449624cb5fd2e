"""Reads the catalogue's data files into its dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parents[1] / "data"


def read(file: str) -> Any:
    """The content of a file of `data/`."""
    import yaml  # here, so that importing the catalog costs nothing

    # The C loader reads the catalog in 8 ms, the Python one in 100.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((_DATA / file).read_text(encoding="utf-8"), Loader=loader)  # noqa: S506, both loaders are safe


def fields_of(kind: type, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that `kind` has fields for, lists as tuples."""
    names = {field.name for field in fields(kind)}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items() if key in names}
