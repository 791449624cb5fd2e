"""What `run` changes in a workload."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.errors import UsageError
from provisioner.inventory.spec import WorkloadSpec
from provisioner.operations.run import changed


@pytest.mark.parametrize(
    ("kept", "changes", "steps", "epochs"),
    [
        ({}, {}, 20, None),
        ({"steps": 50}, {}, 50, None),
        ({"steps": 50}, {"steps": 10}, 10, None),
        ({"epochs": 3, "data": "/data"}, {}, None, 3),
        ({"epochs": 3, "data": "/data"}, {"steps": 10}, 10, None),
    ],
)
def test_the_length_is_said_in_steps_or_in_epochs(
    kept: dict[str, Any], changes: dict[str, Any], steps: int | None, epochs: int | None
) -> None:
    before = WorkloadSpec.model_validate(kept)
    after = changed(before, changes)
    assert (after.epochs, after.steps if epochs is None else None) == (epochs, steps)


def test_what_is_not_named_stays() -> None:
    before = WorkloadSpec(batch_size=64)
    after = changed(before, {"dtypes": ("bfloat16",)})
    assert after == before.model_copy(update={"dtypes": ("bfloat16",)})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"mode": "sleep"}, "mode: "), ({"batch_size": 0}, "batch_size: "), ({"dtypes": ("int8",)}, "dtypes.0: ")],
)
def test_what_makes_no_workload_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{sentence}"):
        changed(WorkloadSpec(), changes)
