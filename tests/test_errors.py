"""The tree of errors: as drawn, with the right exit codes, each one sentence with its remedy."""

from __future__ import annotations

import re

import pytest

from provisioner import errors
from provisioner.errors import ProvisionerError

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == errors.__name__
}


def drawn() -> dict[str, str]:
    """Each class of the docstring's tree, with its parent's name ("" for the root's siblings)."""
    found: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in str(errors.__doc__).splitlines():
        match = re.match(r"([│├└─ ]*)([A-Z]\w+)\s", line + " ")
        if match and match.group(2) in CLASSES:
            depth = len(match.group(1))
            stack = [entry for entry in stack if entry[0] < depth]
            found[match.group(2)] = stack[-1][1] if stack else ""
            stack.append((depth, match.group(2)))
    return found


def test_the_tree_is_drawn_as_it_is() -> None:
    parents = {name: value.__mro__[1].__name__ for name, value in CLASSES.items()}
    roots = dict.fromkeys(("ProvisionerError", "InterruptedRun"), "")
    assert drawn() == {**parents, **roots}
    assert all(issubclass(value, ProvisionerError) for value in CLASSES.values())


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_exit_codes(name: str) -> None:
    """1 failed, 2 wrong command or inventory, 130 interrupted."""
    wanted = {"UsageError": 2, "InventoryError": 2, "InterruptedRun": 130}.get(name, 1)
    assert CLASSES[name].exit_code == wanted


def test_a_message_and_what_to_do() -> None:
    error = ProvisionerError("the host is gone", "run `up` again")
    assert str(error) == "the host is gone: run `up` again"
    assert (error.message, error.remedy) == ("the host is gone", "run `up` again")
    assert str(ProvisionerError("the host is gone")) == "the host is gone"


def test_what_each_error_carries() -> None:
    assert errors.InventoryError(["a:1: x: wrong", "a:2: y: wrong"]).problems == ("a:1: x: wrong", "a:2: y: wrong")
    assert str(errors.InventoryError(["a:1: x: wrong", "a:2: y: wrong"])) == "a:1: x: wrong\na:2: y: wrong"
    cloud = errors.NoCapacityError("m", code="OperationDenied.NoStock", action="RunInstances", request_id="R")
    assert (cloud.code, cloud.action, cloud.request_id) == ("OperationDenied.NoStock", "RunInstances", "R")
    command = errors.CommandError("m", host="h", tail=["a", "b"], status=3)
    assert (command.host, command.tail, command.status) == ("h", ("a", "b"), 3)
    partial = errors.PartialFailureError("2 of 3", [("a", cloud), ("b", command)])
    assert partial.failures == (("a", cloud), ("b", command))
