"""How a copy under way is shown."""

from __future__ import annotations

import pytest

from provisioner.cli.cp import moving


@pytest.mark.parametrize(
    ("name", "done", "size", "seconds", "shown"),
    [
        ("a", 0, 1, 0.0, "1 of 2: a, 0.0 MiB, 0%"),
        ("a", 2**20, 4 * 2**20, 0.5, "1 of 2: a, 1.0 MiB, 25%, 2.0 MiB/s"),
        ("a", 2**22 - 1, 2**22, 1.0, "1 of 2: a, 4.0 MiB, 99%, 4.0 MiB/s"),
        ("empty", 0, 0, 1.0, "1 of 2: empty, 0.0 MiB, 100%"),
        ("grows", 2**21, 2**20, 1.0, "1 of 2: grows, 2.0 MiB, 100%, 2.0 MiB/s"),
        ("a\x1b[2Jb", 0, 1, 0.0, "1 of 2: a?[2Jb, 0.0 MiB, 0%"),
    ],
    ids=["begins", "moves", "nearly done", "empty", "a log that grows", "a name with an escape"],
)
def test_a_copy_is_one_line(name: str, done: int, size: int, seconds: float, shown: str) -> None:
    assert moving(1, 2, name, done, size, seconds) == shown
