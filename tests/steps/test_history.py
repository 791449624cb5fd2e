"""The history server: one process of ours on the first host."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner import steps
from provisioner.errors import HostError
from provisioner.step import ABSENT, PRESENT
from provisioner.steps.history import HistoryStep
from provisioner.steps.spark import MasterStep
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost

STAND_IN = """#!/bin/bash
# Answers to the name of the class that it is told to start.
exec -a "$1" sleep 600
"""


def bench(tmp_path: Path, *names: str) -> Bench:
    spark = tmp_path / "spark/bin/spark-class"
    spark.parent.mkdir(parents=True)
    spark.write_text(STAND_IN)
    spark.chmod(0o755)
    hosts = (FakeHost(name, tmp_path / name) for name in names)
    return Bench(static_spec(*names, spark={"home": str(tmp_path / "spark")}), *hosts)


def test_it_is_started_once_and_ended(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    step = HistoryStep(made.session.host("a"), made.session.hosts[0])
    assert step.check() == ABSENT
    step.apply()
    try:
        assert step.check() == PRESENT
    finally:
        HistoryStep(*2 * made.again().session.hosts).undo()  # as `down` does, which begins knowing nothing of the host
    assert step.check() == ABSENT


@pytest.mark.parametrize("kind", [MasterStep, HistoryStep])
def test_a_port_that_another_program_has_is_told_before_the_training_too(
    tmp_path: Path, kind: type[MasterStep | HistoryStep]
) -> None:
    """It would take the next one, and the tunnel would lead to somebody else's pages."""
    made = bench(tmp_path, "a")
    host = made.connector.hosts["a"]
    host.answers = [("ss .*:18080", '"java",pid=7\n')]
    host.pages["192.0.2.1", 18080] = "somebody's"
    step = kind(*2 * made.session.hosts)
    with pytest.raises(HostError, match=r'port 18080 of a is in use by another program \("java",pid=7\)'):
        step.apply()
    assert step.check() == ABSENT


def test_it_comes_last_and_on_the_first_host_alone(tmp_path: Path) -> None:
    plan = steps.plan(bench(tmp_path, "a", "b").session)
    assert plan.phases[-1].name == "history"
    assert [step.host for step in plan.phases[-1].steps] == ["a"]


def test_its_pages_are_where_the_events_are_written(tmp_path: Path) -> None:
    """Both from spark-defaults.conf, which its environment points at; on the private address alone."""
    (file,) = HistoryStep(*2 * bench(tmp_path, "a").session.hosts).describe().files
    assert "org.apache.spark.deploy.history.HistoryServer" in file.content
    assert "export SPARK_CONF_DIR=" in file.content
    assert "export SPARK_LOCAL_IP=192.0.2.1\n" in file.content
