"""The catalogue, of which tests know what it holds."""

from __future__ import annotations

from provisioner import catalog


def known_type(name: str) -> catalog.InstanceType:
    """A type that the catalogue has."""
    known = catalog.lookup(name)
    assert known is not None
    return known
