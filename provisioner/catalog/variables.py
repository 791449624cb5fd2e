"""Environment variables that change what is measured. The lists are the workload's own, read as data."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import cache

from provisioner.render import data_folder


@cache
def cleared_variables() -> tuple[str, ...]:
    """Patterns of those that a login may have and that count for nothing in what we start on its host."""
    lists = json.loads((data_folder("workload") / "environment.json").read_text(encoding="utf-8"))
    return tuple(lists["cleared"])


def is_cleared(name: str) -> bool:
    """Whether the login's variable of this name is among them."""
    return any(fnmatchcase(name, pattern) for pattern in cleared_variables())
