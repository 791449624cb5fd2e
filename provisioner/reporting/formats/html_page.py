"""The paper's table as a page for a browser."""

from __future__ import annotations

import html

from provisioner.reporting import paper
from provisioner.reporting.format import report_format
from provisioner.reporting.report import Report, Table, tables

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { border-bottom: 1px solid #ccc; padding: .5rem .75rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
tr.paper { color: #666; font-style: italic; }
""".strip()


@report_format("html")
def to_html(report: Report) -> str:
    """The paper's table as one page that needs nothing else, with the paper's own figures in a row of their own."""
    body = "\n".join(map(_html, tables(report))) or "<p>Nothing is measured yet.</p>"
    name = html.escape(report.name)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}: float32 against bfloat16</title>\n<style>\n{_STYLE}\n</style>\n</head>\n"
        f"<body>\n<h1>{name}: float32 against bfloat16</h1>\n{body}\n</body>\n</html>\n"
    )


def _html(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in table.header)
    rows = "\n".join(
        ('<tr class="paper">' if row[0].startswith(paper.LABEL) else "<tr>")
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in table.rows
    )
    conditions = "\n".join(f"<li>{html.escape(condition)}</li>" for condition in table.conditions)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n<ul>\n{conditions}\n</ul>"
