"""How a format of the report is declared, and what those that show tables have in common."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.reporting.report import Report, Table, tables

Writer = Callable[[Report], str]

FORMATS: dict[str, Writer] = {}
"""By what `report --format` calls them."""


def report_format(name: str) -> Callable[[Writer], Writer]:
    """Declare a function that writes a report as the format `name`; its text ends with a newline."""

    def declare(write: Writer) -> Writer:
        FORMATS[name] = write
        return write

    return declare


def each_table(report: Report, title: str, lines: Callable[[Table], list[str]]) -> str:
    """A title and the lines of each of the report's tables, an empty line between; it says when there are none."""
    blocks = [[title], *(lines(table) for table in tables(report))]
    if len(blocks) == 1:
        blocks.append(["Nothing is measured yet."])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"
