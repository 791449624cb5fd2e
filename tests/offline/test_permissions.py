"""docs/permissions.md lists what the program calls, all of it and nothing else."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_ecs20140526.client import Client

import provisioner.adapters.ecs
from provisioner.adapters.ecs.sdk import STS_ACTIONS, VPC_ACTIONS
from tests.support.cli import ROOT
from tests.support.site import Site

PAPER = (ROOT / "docs/permissions.md").read_text()
POLICY = json.loads(re.findall(r"```json\n(.*?)```", PAPER, re.DOTALL)[0])
READING, MAKING, REMOVING = (frozenset(statement["Action"]) for statement in POLICY["Statement"])

SERVICES = {"2014-05-26": "ecs", "2016-04-28": "vpc"}
"""By the version of the API. That of STS is missing: asking who one is needs no permission."""


def permissions(calls: Iterable[Mapping[str, Any]]) -> set[str]:
    """The RAM actions for the calls that the simulator saw."""
    return {f"{SERVICES[call['version']]}:{call['action']}" for call in calls if call["action"] not in STS_ACTIONS}


def called_by_the_adapter() -> set[str]:
    """The RAM action for every action that its source names."""
    words: set[str] = set()
    for folder in provisioner.adapters.ecs.__path__:
        for path in Path(folder).glob("*.py"):
            nodes = ast.walk(ast.parse(path.read_text()))
            words |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    # ECS and VPC each have a TagResources for what is theirs.
    of_vpc = {word for word in words if word in VPC_ACTIONS} | (words & {"TagResources"})
    of_ecs = {word for word in words - VPC_ACTIONS if _is_action_of_ecs(word)}
    return {f"vpc:{action}" for action in of_vpc} | {f"ecs:{action}" for action in of_ecs}


def _is_action_of_ecs(word: str) -> bool:
    return bool(re.fullmatch("([A-Z][a-z]+){2,}", word)) and hasattr(
        Client, re.sub("(?<!^)(?=[A-Z])", "_", word).lower()
    )


def test_the_policy_is_what_the_adapter_calls() -> None:
    assert called_by_the_adapter() == READING | MAKING | REMOVING


def test_the_statements_are_what_the_paper_says() -> None:
    assert all(":Describe" in action for action in READING)
    assert not [action for action in MAKING | REMOVING if ":Describe" in action]
    assert all(list(statement["Action"]) == sorted(statement["Action"]) for statement in POLICY["Statement"])


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (["plan", "INVENTORY", "--online"], READING | {"ecs:RunInstances"}),
        (["types", "--region", "cn-hangzhou"], READING),
        (["status"], READING),
        (["sweep", "--region", "cn-hangzhou", "--yes"], READING | REMOVING),
        (["down", "demo", "--yes"], READING | REMOVING),
        (["exec", "demo", "--", "true"], frozenset()),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_each_command_gets_on_with_its_statements(site: Site, command: list[str], allowed: frozenset[str]) -> None:
    inventory = site.inventory(cloud=", deletion_protection: true")
    site.up(inventory)
    before = site.simulator.calls
    assert permissions(before) <= READING | MAKING
    done = site.run(*(str(inventory) if word == "INVENTORY" else word for word in command))
    calls = permissions(site.simulator.calls[len(before) :])
    assert calls <= allowed
    assert bool(calls) == bool(allowed), done.err
    assert done.code == 0, done.err
