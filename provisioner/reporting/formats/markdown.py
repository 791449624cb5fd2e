"""The paper's table in Markdown."""

from __future__ import annotations

from provisioner.reporting.format import each_table, report_format
from provisioner.reporting.report import Report, Table


@report_format("md")
def to_markdown(report: Report) -> str:
    """The paper's table in Markdown."""
    return each_table(report, f"# {_md(report.name)}", _markdown)


def _markdown(table: Table) -> list[str]:
    head, *rows = ("| " + " | ".join(map(_md, line)) + " |" for line in (table.header, *table.rows))
    return [
        head,
        "|---" + "|---:" * (len(table.header) - 1) + "|",
        *rows,
        "",
        *(f"- {_md(c)}" for c in table.conditions),
    ]


def _md(text: str) -> str:
    """Text that Markdown shows as it is."""
    for mark in "\\|`*_<":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")
