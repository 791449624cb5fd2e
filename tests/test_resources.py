"""Plain values that cannot be changed."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import pytest

from provisioner import resources
from provisioner.hosts import address, facts, topology
from provisioner.reporting import measurement


@pytest.mark.parametrize("module", [resources, address, facts, topology, measurement])
def test_values_do_not_change(module: ModuleType) -> None:
    values = [
        value
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and getattr(value, "__module__", "") == module.__name__
    ]
    assert values
    assert all(value.__dataclass_params__.frozen for value in values)  # type: ignore[attr-defined]
