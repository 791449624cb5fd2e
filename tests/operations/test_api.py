"""`import provisioner`: every name is there, and none is loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import provisioner


@pytest.mark.parametrize("name", provisioner.__all__)
def test_every_name_is_there_with_its_docstring(name: str) -> None:
    assert getattr(provisioner, name).__doc__
    assert name in dir(provisioner)


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'provisioner' has no attribute 'plans'"):
        _ = provisioner.plans


def test_importing_it_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import provisioner; "
        "print(*(name for name in set(sys.modules) - before if name.partition('.')[0] not in sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["provisioner"]


def test_a_name_that_is_asked_for_loads_no_command_line_and_nothing_heavy() -> None:
    heavy = ("typer", "rich", "paramiko", "docker", "tensorflow", "alibabacloud_ecs20140526")
    code = f"import sys, provisioner; provisioner.up; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
