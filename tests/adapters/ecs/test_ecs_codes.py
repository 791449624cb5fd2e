"""What an error code means: the table is whole, and the lookup is the one its head describes."""

from __future__ import annotations

import ast
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

import provisioner.adapters.ecs as package
from provisioner.adapters.ecs.codes import verdict

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "codes.yaml").read_text())
CLASSES = {"retry", "next", "next-type", "give-up", "credentials", "gone"}


def lines() -> list[list[str]]:
    text = files("provisioner").joinpath("data/errors.tsv").read_text()
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    assert rows[0] == ["action", "http", "code", "class", "remedy", "says"]
    return rows[1:]


def documented() -> list[tuple[str, str]]:
    """Every (action, code) of the service's own tables, for the actions that the adapter calls."""
    rows = (line.split("\t") for line in (HERE / "documented.tsv").read_text().splitlines())
    return [(action, code) for action, _, code in rows]


def called_actions() -> set[str]:
    """Every action name that occurs as a string in the adapter's source."""
    words = set()
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    verbs = (
        "Authorize",
        "Create",
        "Delete",
        "Describe",
        "Get",
        "Import",
        "Modify",
        "Release",
        "Revoke",
        "Run",
        "Tag",
        "UnTag",
        "Unass",
        "Untag",
    )
    return {word for word in words if word.startswith(verbs) and word.isalpha()} - {
        "RunShellScript",
        "DeletionProtection",
    }


def test_every_line_has_a_known_class() -> None:
    """The table's class column holds nothing but these classes."""
    assert {row[3] for row in lines()} == CLASSES


def test_every_documented_code_of_the_actions_called_has_a_class_of_its_own() -> None:
    """No code of the service's tables is left to guessing."""
    known = {(row[0], row[2]) for row in lines()}
    assert documented()
    assert [pair for pair in documented() if pair not in known] == []


def test_no_line_is_given_twice_with_different_meanings() -> None:
    """A code that the tables give with two HTTP statuses means the same with both: status is never looked at."""
    meanings: dict[tuple[str, str, tuple[str, ...]], set[tuple[str, str]]] = {}
    for action, _, code, kind, remedy, *says in lines():
        meanings.setdefault((action, code, tuple(says)), set()).add((kind, remedy))
    assert {key: value for key, value in meanings.items() if len(value) > 1} == {}


def test_the_table_speaks_of_no_action_that_is_not_called() -> None:
    """An action name that nobody calls is a slip of the pen."""
    assert {row[0] for row in lines()} - {"*"} <= called_actions()


def test_words_of_a_message_are_in_lower_case() -> None:
    """Others would never be found: messages are compared in lower case."""
    words = [row[5] for row in lines() if len(row) > 5]
    assert words
    assert [each for each in words if not each or each != each.lower() or "" in each.split("|")] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['action']}-{case['code']}-{case.get('message', '')}")
def test_verdict(case: dict[str, str]) -> None:
    """The class and the remedy that the person gets."""
    found = verdict(case["action"], case["code"], case.get("message", ""))
    assert found is not None
    assert found.kind == case["class"]
    assert case.get("says", "") in found.remedy
    if case.get("says"):
        assert len(found.remedy) < 240


def test_an_unknown_code_has_no_verdict() -> None:
    assert verdict("RunInstances", "Some.NewCode") is None


def test_what_people_meet_most_has_a_remedy() -> None:
    """At least thirty codes that end a run come with a sentence of their own on what to do."""
    plain = [row for row in lines() if len(row) == 5]
    ending = {row[2] for row in plain if row[3] in ("give-up", "credentials", "next", "next-type") and row[4]}
    assert len(ending) >= 30
    assert all((found := verdict("RunInstances", code.rstrip("*"))) is None or found.remedy for code in ending)
