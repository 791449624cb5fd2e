"""A simulator for each test, with the program around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from provisioner.simulator.server import Simulator
from tests.support.site import Site


@pytest.fixture(name="make_site")
def _make_site(isolated: None, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes sites whose simulators have other options."""
    with ExitStack() as stack:

        def make(**options: Any) -> Site:
            settings = {"machines": "process", "pace": 0, "folder": tmp_path / "simulator", **options}
            site = Site(stack.enter_context(Simulator(**settings)), tmp_path)
            stack.callback(site.close)
            return site

        yield make


@pytest.fixture(name="site")
def _site(make_site: Callable[..., Site]) -> Site:
    """A simulator in which everything happens at once, with machines that are folders."""
    return make_site()
