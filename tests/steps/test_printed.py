"""What commands on hosts print is read by pure functions; the cases are data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.steps.host import parse_missing
from provisioner.steps.host_key import parse_keys
from provisioner.steps.spark import parse_jps
from provisioner.steps.workload import is_one_commit

READERS: dict[str, Callable[[str], Any]] = {
    "missing": parse_missing,
    "workers": parse_jps,
    "keys": parse_keys,
    "same_commit": is_one_commit,
}
CASES = yaml.safe_load((Path(__file__).parent.parent / "data/steps/printed.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("reader", "case"),
    [pytest.param(reader, case, id=f"{reader}: {case['name']}") for reader in READERS for case in CASES[reader]],
)
def test_what_a_command_prints_is_read_as(reader: str, case: dict[str, Any]) -> None:
    assert READERS[reader](case["output"]) == case["value"]


def test_every_list_of_cases_is_used() -> None:
    assert CASES.keys() == READERS.keys()
