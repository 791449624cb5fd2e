"""The paper's table in plain lines."""

from __future__ import annotations

from provisioner.render import aligned
from provisioner.reporting.format import each_table, report_format
from provisioner.reporting.report import Report, Table


@report_format("table")
def to_table(report: Report) -> str:
    """The paper's table in plain lines, columns aligned."""
    return each_table(report, report.name, _plain)


def _plain(table: Table) -> list[str]:
    return [*aligned([table.header, *table.rows], " | "), *table.conditions]
