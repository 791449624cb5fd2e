"""Which of Spark's pages a tunnel leads to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.operations.tunnel import pages
from provisioner.ports import Completed
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost


def bench(tmp_path: Path, **spark: str) -> Bench:
    hosts = [FakeHost(name, tmp_path / name) for name in ("a", "b")]
    made = Bench(static_spec("a", "b", spark={"home": "/opt/spark", **spark}), *hosts)
    for host in hosts:
        host.answers = [("deploy.history", ""), ("deploy.master", "")]  # they run
    return made


def titles(made: Bench) -> list[str]:
    return [page.title for page in pages(made.session, made.told.append)]


def test_each_worker_is_reached_through_its_own_host(tmp_path: Path) -> None:
    made = bench(tmp_path)
    first, second = (made.session.host(name).address.private for name in ("a", "b"))
    workers = [
        {"host": first, "state": "ALIVE", "webuiaddress": f"http://{first}:8081"},
        {"host": second, "state": "ALIVE", "webuiaddress": f"http://{second}:8081"},
        {"host": second, "state": "DEAD", "webuiaddress": f"http://{second}:8082"},
        {"host": "198.51.100.9", "state": "ALIVE", "webuiaddress": "http://198.51.100.9:8081"},
    ]
    host = made.session.host("a").connection()
    assert isinstance(host, FakeHost)
    host.pages[(first, 8080)] = json.dumps({"url": f"spark://{first}:7077", "status": "ALIVE", "workers": workers})
    shown = pages(made.session, made.told.append)
    assert [(page.title, page.connection.name, page.address, page.port) for page in shown] == [
        ("Spark master", "a", first, 8080),
        ("worker on a", "a", first, 8081),
        ("worker on b", "b", second, 8081),
        ("running application", "a", first, 4040),
        ("history", "a", first, 18080),
    ]


def test_by_host_name_spark_listens_everywhere(tmp_path: Path) -> None:
    """Also where the master does not answer: there is a page for it, which opens once it is back."""
    made = bench(tmp_path, master="hostname")
    found = pages(made.session, made.told.append)
    assert [(page.title, page.address, page.port) for page in found] == [
        ("Spark master", "127.0.0.1", 8080),
        ("running application", "127.0.0.1", 4040),
        ("history", "127.0.0.1", 18080),
    ]


@pytest.mark.parametrize("noted", [Completed(1, ""), ""], ids=["of this machine", "of another address"])
def test_the_pages_of_somebody_elses_spark_are_not_shown(tmp_path: Path, noted: Completed | str) -> None:
    made = bench(tmp_path)
    first = made.session.hosts[0].address.private
    host = made.connector.hosts["a"]
    host.answers = [("deploy.history", ""), ("deploy.master", noted)]
    url = f"spark://{first if isinstance(noted, Completed) else '198.51.100.9'}:7077"
    worker = {"host": first, "state": "ALIVE", "webuiaddress": f"http://{first}:8081"}
    host.pages[(first, 8080)] = json.dumps({"url": url, "status": "ALIVE", "workers": [worker]})
    assert titles(made) == ["running application", "history"]
    assert made.told == ["port 8080 of a has the page of another Spark than demo's"]


def test_a_history_server_that_cannot_be_had_hides_no_other_page(tmp_path: Path) -> None:
    made = bench(tmp_path)
    host = made.connector.hosts["a"]
    host.answers = [("deploy.history", Completed(1, "")), ("ss .*:18080", '"java",pid=7\n')]
    host.pages[(made.session.hosts[0].address.private, 18080)] = "somebody's"
    assert titles(made) == ["Spark master", "running application"]
    told = 'no page of the history server: port 18080 of a is in use by another program ("java",pid=7)'
    assert made.told == [told]
