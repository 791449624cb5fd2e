"""What an error code of the service means to the program, read from data/errors.tsv."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, cast

Class = Literal["retry", "next", "next-type", "give-up", "credentials", "gone"]


class Verdict(NamedTuple):
    """What to do about a code, and what the person can do ("" when nothing better than the message is known)."""

    kind: Class
    remedy: str


def verdict(action: str, code: str) -> Verdict | None:
    """The meaning of `code` as an answer to `action`; None for a code that the table does not know.

    The action's own lines count before those of any action, a code before a pattern, a longer pattern before a shorter
    one: the first that fits decides. One without a remedy takes that of the next that fits.
    """
    names = [code, *(code[:length] + "*" for length in range(len(code), 0, -1))]
    lines = [_table()[key] for action_ in (action, "*") for name in names if (key := (action_, name)) in _table()]
    if not lines:
        return None
    return Verdict(lines[0].kind, next((line.remedy for line in lines if line.remedy), ""))


@cache
def _table() -> dict[tuple[str, str], Verdict]:
    text = files("provisioner").joinpath("data/errors.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        (row["action"], row["code"]): Verdict(cast(Class, row["class"]), row["remedy"])
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    }
