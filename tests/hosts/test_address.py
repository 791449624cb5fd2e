"""Where Spark binds: an address that the host itself has, whatever leads to its login."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.errors import HostError, InventoryError
from provisioner.steps.host import LoginStep
from provisioner.steps.layout import Layout
from tests.support.deployments import Bench, spec
from tests.support.hosts import FakeHost

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/hosts/addresses.yaml").read_text())


def bench(case: dict[str, Any], tmp_path: Path, **sections: Any) -> Bench:
    given = {"private_address": case["given"]} if "given" in case else {}
    host = FakeHost("a", tmp_path / "a")
    network = [f"2: eth0    inet {address}/16 brd 192.0.2.255 scope global eth0" for address in case["has"]]
    route = [f"192.0.2.1 via 172.17.0.1 dev eth0 src {case['route']} uid 0 "] if case["route"] else []
    host.facts = "\n".join([host.facts, "[network]", "1: lo    inet 127.0.0.1/8 scope host lo", *network, *route])
    if not case["has"]:
        host.facts = host.facts.partition("[network]")[0]
    return Bench(spec(provider="static", hosts=[{"name": "a", "address": case["login"], **given}], **sections), host)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_spark_binds_an_address_that_the_host_has(case: dict[str, Any], tmp_path: Path) -> None:
    made = bench(case, tmp_path)
    host = made.session.hosts[0]
    if "error" in case:
        with pytest.raises(HostError, match=case["error"]):
            LoginStep(host, None).check()
        return
    LoginStep(host, None).check()
    script = Layout(host, host).start_master().content
    assert f"--host {case['private']} --port 7077" in script
    assert f"export SPARK_LOCAL_IP={case['private']}\n" in script
    assert host.address.address == case["login"]


def test_an_address_that_spark_cannot_go_by_is_refused_in_the_inventory() -> None:
    with pytest.raises(InventoryError, match="IPv6 address; the processes of the cluster find each other by IPv4"):
        spec(provider="static", hosts=[{"name": "a", "address": "192.0.2.1", "private_address": "fd00::1"}])


@pytest.mark.parametrize("hostname", ["my_host", "web-1"])
def test_a_host_name_that_sparks_addresses_do_not_take_matters_where_it_goes_by_name(
    hostname: str, tmp_path: Path
) -> None:
    made = bench(CASES[1], tmp_path, spark={"master": "hostname"})
    made.connector.hosts["a"].facts = re.sub(
        "(?m)^hostname=.*", f"hostname={hostname}", made.connector.hosts["a"].facts
    )
    step = LoginStep(made.session.hosts[0], None)
    if "_" in hostname:
        with pytest.raises(HostError, match=r"calls itself my_host.*spark\.master: address"):
            step.check()
    else:
        step.check()
    by_address = bench(CASES[1], tmp_path)
    by_address.connector.hosts["a"].facts = made.connector.hosts["a"].facts
    LoginStep(by_address.session.hosts[0], None).check()


def test_without_spark_no_address_has_to_be_bound(tmp_path: Path) -> None:
    case = next(case for case in CASES if case["what"] == "IPv6 alone")
    LoginStep(bench(case, tmp_path, workload={"engine": "local"}).session.hosts[0], None).check()


def test_the_ports_are_the_inventorys(tmp_path: Path) -> None:
    ports = {"master_port": 17077, "master_page_port": 18088, "history_page_port": 18089}
    host = bench(CASES[1], tmp_path, spark=ports).session.hosts[0]
    host.facts()
    layout = Layout(host, host)
    assert "--port 17077 --webui-port 18088 &" in layout.start_master().content
    assert "Worker spark://192.0.2.7:17077 &" in layout.start_workers().content
    defaults = layout.defaults("s").content
    assert "spark.history.ui.port=18089\n" in defaults
    assert "spark.master=spark://192.0.2.7:17077\n" in defaults


def test_two_pages_cannot_share_a_port() -> None:
    with pytest.raises(InventoryError, match="have to differ"):
        spec(provider="local", spark={"master_page_port": 18080})
