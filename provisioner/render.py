"""Template and values to text. A name that the values lack, or a value that no template uses up, is an error.

Templates are plain text with Jinja2 placeholders; what to put in is decided in `steps/`, not in the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from provisioner.errors import StateError

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Where `templates/`, `workload/` or `inventories/` is: beside the package in a checkout, inside it in a wheel."""
    for folder in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise StateError(f"the folder {name} is missing from this installation", "install the package again")


def workload_files() -> dict[str, bytes]:
    """The workload as it is shipped: its modules and data files, by their path (`workload/…`), sorted."""
    folder = data_folder("workload")
    paths = sorted(path for kind in ("*.py", "*.json") for path in folder.rglob(kind))
    return {f"workload/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths}


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(data_folder("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (shell and properties files, not HTML; steps/ quotes what needs it)
    )


def render(template: str, **values: Any) -> str:
    """The text of `templates/<template>` with the values filled in.

    Raises jinja2.UndefinedError when the template names something that is not among the values.
    """
    return str(_environment().get_template(template).render(**values))


def aligned(rows: Sequence[Sequence[str]], between: str) -> list[str]:
    """A line for each row of cells, columns aligned, with `between` between them. All rows have as many cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (between.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]


def counted(number: int, noun: str) -> str:
    """A number and its noun, as `1 worker` or `8 workers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
