"""The papers beside the code are true: links lead somewhere, and the architecture names every room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAPERS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
ROOMS = sorted(
    path.name + "/" * path.is_dir()
    for path in (ROOT / "provisioner").iterdir()
    if (path.is_dir() or path.suffix == ".py") and not path.name.startswith("_")
)


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(paper: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", paper.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (paper.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_architecture_names_every_room(room: str) -> None:
    table = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert f"`{room}`" in table


def test_the_architecture_names_no_room_that_is_not_there() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == set(ROOMS)
