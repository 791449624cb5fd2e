"""What runs on the hosts, in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.inside import _inside, words
from provisioner.ports import Completed
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost

CONTAINER = {
    "name": "provisioner",
    "image": "spark:1",
    "status": "running",
    "health": "healthy",
    "since": "2026-11-24T03:40:31Z",
}


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (None, "-"),
        ({"problem": "could not connect to a"}, "could not connect to a"),
        ({"engine": None, "container": None, "workers": 0}, "no Docker engine; no container; 0 Spark workers alive"),
        (
            {"engine": "26.1.5", "container": CONTAINER, "workers": 1},
            "Docker 26.1.5; provisioner running since 2026-11-24T03:40:31Z (spark:1); 1 Spark worker alive",
        ),
        (
            {"engine": "26.1.5", "container": {**CONTAINER, "since": ""}},
            "Docker 26.1.5; provisioner running (spark:1)",
        ),
        (
            {"engine": "26.1.5", "container": {**CONTAINER, "health": "unhealthy"}, "workers": 0},
            "Docker 26.1.5; provisioner running since 2026-11-24T03:40:31Z, unhealthy: a Spark process has ended "
            "(spark:1); 0 Spark workers alive",
        ),
        ({"workers": 8}, "8 Spark workers alive"),
        ({}, "-"),
    ],
)
def test_it_is_one_cell(inside: dict[str, Any] | None, said: str) -> None:
    assert words(inside) == said


@pytest.mark.parametrize(("noted", "counted"), [("", 1), (Completed(1, ""), 0)], ids=["ours", "somebody else's"])
def test_the_workers_counted_are_those_of_our_own_master(tmp_path: Path, noted: Any, counted: int) -> None:
    host = FakeHost("a", tmp_path)
    host.answers = [("deploy.master", noted)]
    made = Bench(static_spec("a"), host)
    address = made.session.hosts[0].address.private
    workers = [{"host": address, "state": "ALIVE"}, {"state": "ALIVE"}]
    page = {"url": f"spark://{address}:7077", "status": "ALIVE", "workers": workers}
    host.pages[(address, 8080)] = json.dumps(page)
    assert _inside(made.session.hosts[0], made.session.hosts[0]) == {"workers": counted}
