"""What runs on the hosts, in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.status import running_words
from provisioner.operations.status import Running, running_on
from provisioner.ports import Completed, ContainerState
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost

CONTAINER = ContainerState(
    name="provisioner",
    image="spark:1",
    image_id="sha256:1",
    status="running",
    privileged=False,
    since="2026-11-24T03:40:31Z",
    health="healthy",
)


def docker(container: ContainerState | None, workers: int | None = None, version: str | None = "26.1.5") -> Running:
    return Running(has_docker=True, engine=version, container=container, workers=workers)


@pytest.mark.parametrize(
    ("running", "shown"),
    [
        (Running(problem="could not connect to a"), "could not connect to a"),
        (docker(None, 0, None), "no Docker engine; no container; 0 Spark workers alive"),
        (
            docker(CONTAINER, 1),
            "Docker 26.1.5; provisioner running since 2026-11-24T03:40:31Z (spark:1); 1 Spark worker alive",
        ),
        (docker(replace(CONTAINER, since="")), "Docker 26.1.5; provisioner running (spark:1)"),
        (
            docker(replace(CONTAINER, health="unhealthy"), 0),
            "Docker 26.1.5; provisioner running since 2026-11-24T03:40:31Z, unhealthy: a Spark process has ended "
            "(spark:1); 0 Spark workers alive",
        ),
        (Running(workers=8), "8 Spark workers alive"),
        (Running(), "-"),
    ],
)
def test_it_is_one_cell(running: Running, shown: str) -> None:
    assert running_words(running) == shown


@pytest.mark.parametrize(("noted", "counted"), [("", 1), (Completed(1, ""), 0)], ids=["ours", "somebody else's"])
def test_the_workers_counted_are_those_of_our_own_master(tmp_path: Path, noted: Any, counted: int) -> None:
    host = FakeHost("a", tmp_path)
    host.answers = [("deploy.master", noted)]
    made = Bench(static_spec("a"), host)
    address = made.session.hosts[0].address.private
    workers = [{"host": address, "state": "ALIVE"}, {"state": "ALIVE"}]
    page = {"url": f"spark://{address}:7077", "status": "ALIVE", "workers": workers}
    host.pages[(address, 8080)] = json.dumps(page)
    running = running_on(made.session.hosts[0], made.session.hosts[0])
    assert running.as_json() == {"workers": counted}
