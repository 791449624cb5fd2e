"""Which of Spark's pages a tunnel leads to."""

from __future__ import annotations

import json
from pathlib import Path

from provisioner.operations.tunnels import pages
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost


def bench(tmp_path: Path, **spark: str) -> Bench:
    hosts = [FakeHost(name, tmp_path / name) for name in ("a", "b")]
    made = Bench(static_spec("a", "b", spark={"home": "/opt/spark", **spark}), *hosts)
    for host in hosts:
        host.answers = [("deploy.history", "")]  # it runs
    return made


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
    host.pages[(first, 8080)] = json.dumps({"status": "ALIVE", "workers": workers})
    assert [(page.title, page.connection.name, page.address, page.port) for page in pages(made.session)] == [
        ("Spark master", "a", first, 8080),
        ("worker on a", "a", first, 8081),
        ("worker on b", "b", second, 8081),
        ("running application", "a", first, 4040),
        ("history", "a", first, 18080),
    ]


def test_by_host_name_spark_listens_everywhere(tmp_path: Path) -> None:
    """Also where the master does not answer: there is a page for it, which opens once it is back."""
    found = pages(bench(tmp_path, master="hostname").session)
    assert [(page.title, page.address, page.port) for page in found] == [
        ("Spark master", "127.0.0.1", 8080),
        ("running application", "127.0.0.1", 4040),
        ("history", "127.0.0.1", 18080),
    ]
