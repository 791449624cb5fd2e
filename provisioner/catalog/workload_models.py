"""Which models the workload trains, and what each can do. The list is the workload's own, read as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from provisioner.render import data_folder


@dataclass(frozen=True)
class Model:
    """A model of the workload: its name in the inventory and `title` for people; `unit` is what a batch counts."""

    name: str
    title: str
    unit: str
    engines: tuple[str, ...]
    optimizers: tuple[str, ...]
    label_smoothing: bool


def models() -> Mapping[str, Model]:
    """All of them by name, in the list's order."""
    return _models()


@cache
def _models() -> Mapping[str, Model]:
    tasks = json.loads((data_folder("workload") / "models.json").read_text(encoding="utf-8"))["tasks"]
    return {
        name: Model(
            name=name,
            title=facts["title"],
            unit=task["unit"],
            engines=tuple(task["engines"]),
            optimizers=tuple(task["optimizers"]),
            label_smoothing=task["label_smoothing"] is not None,
        )
        for task in tasks.values()
        for name, facts in task["models"].items()
    }
