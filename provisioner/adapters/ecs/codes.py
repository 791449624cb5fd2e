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


class _Line(NamedTuple):
    """A line of the table, for answers whose message has any of the words `says` in it; () for all answers."""

    says: tuple[str, ...]
    meaning: Verdict


def verdict(action: str, code: str, message: str = "") -> Verdict | None:
    """The meaning of `code` as an answer to `action`; None for a code that the table does not know.

    The action's own lines count before those of any action, a code before a pattern, a longer pattern before a shorter
    one: the first that fits decides. Those with words of the service's `message` count before all without, since the
    service has codes of more than one meaning. A line without a remedy takes that of the next that fits.
    """
    names = [code, *(code[:length] + "*" for length in range(len(code), 0, -1))]
    lines = [
        line
        for action_ in (action, "*")
        for name in names
        for line in _table().get((action_, name), ())
        if not line.says or any(words in message.lower() for words in line.says)
    ]
    if not lines:
        return None
    lines.sort(key=lambda line: not line.says)
    return Verdict(lines[0].meaning.kind, next((line.meaning.remedy for line in lines if line.meaning.remedy), ""))


@cache
def _table() -> dict[tuple[str, str], list[_Line]]:
    text = files("provisioner").joinpath("data/errors.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table: dict[tuple[str, str], list[_Line]] = {}
    for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        meaning = Verdict(cast(Class, row["class"]), row["remedy"])
        says = tuple(filter(None, (row["says"] or "").split("|")))
        table.setdefault((row["action"], row["code"]), []).append(_Line(says, meaning))
    return table
