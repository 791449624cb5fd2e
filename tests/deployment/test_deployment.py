"""What the steps of a deployment share: names, tags, connections, facts, secrets, and what is known to be made."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioner import catalog
from provisioner.deployment import Deployment
from provisioner.errors import ConnectError, DriftError, StateError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.expected import expected_facts
from provisioner.resources import Resource
from provisioner.secret import Secret
from tests.support.deployments import Bench, spec, static_spec
from tests.support.hosts import FakeHost, cpus

RENTED: dict[str, Any] = {"cloud": {"instance_types": ["ecs.hfc7.24xlarge"], "count": 2}}


def bench(tmp_path: Path, *names: str, **sections: Any) -> Bench:
    return Bench(static_spec(*names, **sections), *(FakeHost(name, tmp_path / name) for name in names))


# ------------------------------------------------------------------------------------------------ names and tags


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (lambda: spec(**RENTED), ("demo-001", "demo-002")),
        (lambda: static_spec("b", "a"), ("b", "a")),
        (lambda: spec(provider="local"), ("localhost",)),
    ],
    ids=["rented", "static", "local"],
)
def test_host_names(made: Any, names: tuple[str, ...]) -> None:
    assert Deployment(made()).host_names == names


def test_what_dies_with_a_host_is_not_undone_by_us() -> None:
    assert Deployment(spec(**RENTED)).host_owner == "instances"
    assert Deployment(static_spec("a")).host_owner is None
    assert Deployment(spec(provider="local")).host_owner is None


def test_tags_carry_name_and_run_and_the_inventorys_own() -> None:
    made = Bench(spec(cloud={"tags": {"team": "vision"}}), run_id="r7")
    assert made.deployment.own_tags == {"provisioner:name": "demo", "provisioner:run": "r7"}
    assert made.deployment.tags == {"team": "vision", "provisioner:name": "demo", "provisioner:run": "r7"}


def test_what_another_run_made_is_not_ours() -> None:
    made = Bench(spec(), run_id="r1").deployment
    ours = Resource("vpc", "vpc-1", "demo", tags={"provisioner:name": "demo", "provisioner:run": "r1"})
    theirs = Resource("vpc", "vpc-2", "demo", tags={"provisioner:name": "demo", "provisioner:run": "r2"})
    assert made.only_ours([ours]) == [ours]
    with pytest.raises(DriftError, match="the name demo is taken by another run: vpc-2"):
        made.only_ours([ours, theirs])


# ------------------------------------------------------------------------------------------------ describing only


def test_a_deployment_for_describing_reaches_nothing() -> None:
    deployment = Deployment(spec(**RENTED))
    for reach in (lambda: deployment.ports, lambda: deployment.store, lambda: deployment.connection("demo-001")):
        with pytest.raises(StateError):
            reach()
    with pytest.raises(StateError, match="demo-001 does not exist yet"):
        deployment.address("demo-001")
    assert deployment.secret("spark") == Secret("********")
    assert deployment.master() == "demo-001"


def test_before_there_are_hosts_the_catalog_says_what_to_expect() -> None:
    facts = Deployment(spec(**RENTED)).facts_or_expected("demo-001")
    assert len(facts.cpus) == 96
    assert facts.hostname == "demo-001"
    assert facts.home == "/root"
    assert Deployment(spec(ssh={"user": "ecs-user"}, **RENTED)).facts_or_expected("demo-001").home == "/home/ecs-user"


def test_of_a_static_host_as_many_cores_are_supposed_as_workers_are_asked_for() -> None:
    assert len(Deployment(static_spec("a", spark={"workers": 5})).facts_or_expected("a").cpus) == 5
    assert len(Deployment(static_spec("a")).facts_or_expected("a").cpus) == 2
    assert not Deployment(static_spec("a")).facts_are_known("a")
    assert Deployment(spec(**RENTED)).facts_are_known("demo-001")


def test_this_machine_is_what_it_is() -> None:
    known = catalog.lookup("ecs.hfc7.xlarge")
    assert known is not None
    facts = expected_facts(known, "localhost", "acs:alibaba_cloud_linux_3_2104_lts_x64")
    deployment = Deployment(spec(provider="local"), local_facts=facts)
    assert deployment.facts_or_expected("localhost") is facts


# ------------------------------------------------------------------------------------------------ addresses


def test_addresses_of_static_hosts_are_the_inventorys() -> None:
    hosts = [{"name": "a", "address": "192.0.2.1"}, {"name": "b", "address": "b.example", "user": "me", "port": 2200}]
    deployment = Deployment(spec(provider="static", hosts=hosts, ssh={"user": "admin", "port": 2222}))
    assert deployment.address("a") == HostAddress("a", "192.0.2.1", "192.0.2.1", 2222, "admin")
    assert deployment.address("b") == HostAddress("b", "b.example", "b.example", 2200, "me")
    assert deployment.master() == "192.0.2.1"


def test_addresses_of_rented_hosts_are_remembered() -> None:
    made = Bench(spec(**RENTED))
    addresses = [HostAddress(f"demo-00{n}", f"198.51.100.{n}", f"172.16.0.{n}", 22, "root", f"i-{n}") for n in (1, 2)]
    made.deployment.set_addresses(addresses)
    again = made.again().deployment
    assert [again.address(name) for name in again.host_names] == addresses
    assert again.master() == "172.16.0.1"


# ------------------------------------------------------------------------------------------------ connections


def test_a_host_has_one_connection_for_all_who_ask_at_once(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    gate = threading.Barrier(8)

    def ask(_: int) -> object:
        gate.wait(60)
        return made.deployment.connection("a")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert all(connection is found[0] for connection in found)
    assert made.connector.connected == ["a"]


def test_a_slow_host_does_not_hold_up_another(tmp_path: Path) -> None:
    """Each host is connected to under a lock of its own."""
    made = bench(tmp_path, "a", "b")
    connect, reached = made.connector.connect, threading.Event()

    def slow(host: HostAddress, *, ready_timeout_s: float) -> FakeHost:
        if host.name == "a":
            assert reached.wait(60)
        return connect(host, ready_timeout_s=ready_timeout_s)

    made.connector.connect = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(made.deployment.connection, "a")
        made.deployment.connection("b")
        reached.set()
        assert waiting.result(60).name == "a"


def test_what_failed_to_connect_is_tried_at_the_next_question(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    made.connector.failures["a"] = [ConnectError("refused")]
    with pytest.raises(ConnectError):
        made.deployment.connection("a")
    assert made.deployment.connection("a").name == "a"


def test_while_removing_a_host_that_cannot_be_reached_is_waited_for_once(tmp_path: Path) -> None:
    """Until what was cut off on purpose is connected to anew."""
    made = bench(tmp_path, "a")
    made.connector.failures["a"] = [ConnectError("gone")]
    made.deployment.begin_removal()
    for _ in range(2):
        with pytest.raises(ConnectError, match="gone"):
            made.deployment.connection("a")
    assert made.connector.connected == ["a"]
    made.deployment.close()
    assert made.deployment.connection("a").name == "a"


def test_closing_ends_connections_and_the_next_question_makes_new_ones(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    connection = made.deployment.connection("a")
    made.deployment.close()
    with pytest.raises(ConnectError):
        connection.run("true")
    made.deployment.connection("a")
    assert made.connector.connected == ["a", "a"]


def test_the_shell_is_the_host_or_its_container(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    assert made.deployment.shell("a") is made.deployment.connection("a")
    docker = bench(tmp_path, "b", runtime="docker", image={"build": "spark", "container": "c1"})
    with pytest.raises(StateError, match="no Docker engine"):
        docker.deployment.shell("b")


# ------------------------------------------------------------------------------------------------ facts


def test_facts_are_read_once_until_they_are_to_be_read_again(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    assert made.deployment.facts("a").hostname == "a"
    host = made.connector.hosts["a"]
    host.facts = host.facts.replace("program=numactl\n", "")
    assert "numactl" in made.deployment.facts("a").programs
    made.deployment.forget_facts("a")
    assert "numactl" not in made.deployment.facts("a").programs
    made.deployment.forget_facts("never read")


def test_real_facts_replace_the_expected(tmp_path: Path) -> None:
    made = Bench(static_spec("a", spark={"workers": 2}), FakeHost("a", tmp_path, cpus=cpus(cores=7)))
    assert len(made.deployment.facts_or_expected("a").cpus) == 2
    made.deployment.facts("a")
    assert len(made.deployment.facts_or_expected("a").cpus) == 7
    assert made.deployment.facts_are_known("a")


# ------------------------------------------------------------------------------------------------ connections


def test_closing_ends_what_the_connections_shared_too() -> None:
    made = Bench(spec())
    made.deployment.close()
    assert made.connector.closed


# ------------------------------------------------------------------------------------------------ results, secrets


def test_results_add_up() -> None:
    made = Bench(spec())
    made.deployment.remember_result({"key": "a"})
    made.deployment.remember_result({"key": "b"})
    assert [result["key"] for result in made.store.state.measured] == ["a", "b"]


def test_a_secret_stays_the_same_and_is_nowhere_else(tmp_path: Path) -> None:
    made = Bench(spec())
    secret = made.deployment.secret("spark")
    assert made.again().deployment.secret("spark") == secret
    assert len(secret.reveal()) >= 32
    state = (made.store.folder / "state.json").read_text()
    assert secret.reveal() not in state
