"""What the steps of a deployment share: names, tags, connections, facts, secrets, and what is known to be made."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioner import catalog
from provisioner.deployment import Deployment, Session
from provisioner.errors import ConnectError, DriftError, StateError
from provisioner.hosts.address import HostAddress
from provisioner.hosts.expected import expected_facts
from provisioner.resources import Resource
from provisioner.secret import Secret
from tests.support.deployments import Bench, place_hosts, spec, static_spec
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
    assert tuple(host.name for host in Session(made()).hosts) == names


def test_what_dies_with_a_host_is_not_undone_by_us() -> None:
    assert Session(spec(**RENTED)).hosts[0].is_ours
    assert not Session(static_spec("a")).hosts[0].is_ours
    assert not Session(spec(provider="local")).hosts[0].is_ours


def test_tags_carry_name_and_run_and_the_inventorys_own() -> None:
    made = Bench(spec(cloud={"tags": {"team": "vision"}}), run_id="r7")
    assert made.session.deployment.own_tags == {"provisioner:name": "demo", "provisioner:run": "r7"}
    assert made.session.deployment.tags == {"team": "vision", "provisioner:name": "demo", "provisioner:run": "r7"}


def test_what_another_run_made_is_not_ours() -> None:
    made = Bench(spec(), run_id="r1").session.deployment
    ours = Resource("vpc", "vpc-1", "demo", tags={"provisioner:name": "demo", "provisioner:run": "r1"})
    theirs = Resource("vpc", "vpc-2", "demo", tags={"provisioner:name": "demo", "provisioner:run": "r2"})
    assert made.only_ours([ours]) == [ours]
    with pytest.raises(DriftError, match="the name demo is taken by another run: vpc-2"):
        made.only_ours([ours, theirs])


# ------------------------------------------------------------------------------------------------ describing only


def test_a_deployment_for_describing_reaches_nothing() -> None:
    session = Session(spec(**RENTED))
    (host, _) = session.hosts
    for reach in (
        lambda: session.store,
        lambda: session.cloud,
        lambda: session.journal.made("vpc"),
        lambda: session.results.measured,
        host.connection,
        host.shell,
        host.engine,
        host.facts,
    ):
        with pytest.raises(StateError, match="opened for describing only"):
            reach()
    with pytest.raises(StateError, match="demo-001 does not exist yet"):
        assert host.address
    assert session.secret("spark") == Secret("********")
    assert host.cluster_address == "demo-001"


def test_before_there_are_hosts_the_catalog_says_what_to_expect() -> None:
    facts = Session(spec(**RENTED)).host("demo-001").facts_or_expected
    assert len(facts.cpus) == 96
    assert facts.hostname == "demo-001"
    assert facts.home == "/root"
    assert Session(spec(ssh={"user": "ecs-user"}, **RENTED)).host("demo-001").facts_or_expected.home == "/home/ecs-user"


def test_of_a_static_host_as_many_cores_are_supposed_as_workers_are_asked_for() -> None:
    assert len(Session(static_spec("a", spark={"workers": 5})).host("a").facts_or_expected.cpus) == 5
    assert len(Session(static_spec("a")).host("a").facts_or_expected.cpus) == 2
    assert not Session(static_spec("a")).host("a").facts_are_known
    assert Session(spec(**RENTED)).host("demo-001").facts_are_known


def test_this_machine_is_what_it_is() -> None:
    known = catalog.lookup("ecs.hfc7.xlarge")
    assert known is not None
    facts = expected_facts(known, "localhost", "acs:alibaba_cloud_linux_3_2104_lts_x64")
    session = Session(spec(provider="local"), local_facts=facts)
    assert session.host("localhost").facts_or_expected is facts


# ------------------------------------------------------------------------------------------------ addresses


def test_addresses_of_static_hosts_are_the_inventorys() -> None:
    hosts = [{"name": "a", "address": "192.0.2.1"}, {"name": "b", "address": "b.example", "user": "me", "port": 2200}]
    session = Session(spec(provider="static", hosts=hosts, ssh={"user": "admin", "port": 2222}))
    assert session.host("a").address == HostAddress("a", "192.0.2.1", "192.0.2.1", 2222, "admin")
    assert session.host("b").address == HostAddress("b", "b.example", "b.example", 2200, "me")
    assert session.hosts[0].cluster_address == "192.0.2.1"


def test_addresses_of_rented_hosts_are_remembered() -> None:
    made = Bench(spec(**RENTED))
    addresses = [HostAddress(f"demo-00{n}", f"198.51.100.{n}", f"172.16.0.{n}", 22, "root", f"i-{n}") for n in (1, 2)]
    place_hosts(made.store, addresses)
    again = made.again().session
    assert [host.address for host in again.hosts] == addresses
    assert again.hosts[0].cluster_address == "172.16.0.1"


# ------------------------------------------------------------------------------------------------ connections


def test_a_host_has_one_connection_for_all_who_ask_at_once(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    gate = threading.Barrier(8)

    def ask(_: int) -> object:
        gate.wait(60)
        return made.session.host("a").connection()

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
        waiting = pool.submit(made.session.host("a").connection)
        made.session.host("b").connection()
        reached.set()
        assert waiting.result(60).name == "a"


def test_what_failed_to_connect_is_tried_at_the_next_question(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    made.connector.failures["a"] = [ConnectError("refused")]
    with pytest.raises(ConnectError):
        made.session.host("a").connection()
    assert made.session.host("a").connection().name == "a"


def test_while_removing_a_host_that_cannot_be_reached_is_waited_for_once(tmp_path: Path) -> None:
    """Until what was cut off on purpose is connected to anew."""
    made = bench(tmp_path, "a")
    made.connector.failures["a"] = [ConnectError("gone")]
    made.session.begin_removal()
    for _ in range(2):
        with pytest.raises(ConnectError, match="gone"):
            made.session.host("a").connection()
    assert made.connector.connected == ["a"]
    made.session.close()
    assert made.session.host("a").connection().name == "a"


def test_closing_ends_connections_and_the_next_question_makes_new_ones(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    connection = made.session.host("a").connection()
    made.session.close()
    with pytest.raises(ConnectError):
        connection.run("true")
    made.session.host("a").connection()
    assert made.connector.connected == ["a", "a"]


def test_the_shell_is_the_host_or_its_container(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    assert made.session.host("a").shell() is made.session.host("a").connection()
    docker = bench(tmp_path, "b", runtime="docker", image={"build": "spark", "container": "c1"})
    with pytest.raises(StateError, match="no Docker engine"):
        docker.session.host("b").shell()


# ------------------------------------------------------------------------------------------------ facts


def test_facts_are_read_once_until_they_are_to_be_read_again(tmp_path: Path) -> None:
    made = bench(tmp_path, "a")
    assert made.session.host("a").facts().hostname == "a"
    host = made.connector.hosts["a"]
    host.facts = host.facts.replace("program=numactl\n", "")
    assert "numactl" in made.session.host("a").facts().programs
    made.session.host("a").forget_facts()
    assert "numactl" not in made.session.host("a").facts().programs


def test_real_facts_replace_the_expected(tmp_path: Path) -> None:
    made = Bench(static_spec("a", spark={"workers": 2}), FakeHost("a", tmp_path, cpus=cpus(cores=7)))
    assert len(made.session.host("a").facts_or_expected.cpus) == 2
    made.session.host("a").facts()
    assert len(made.session.host("a").facts_or_expected.cpus) == 7
    assert made.session.host("a").facts_are_known


# ------------------------------------------------------------------------------------------------ connections


def test_closing_ends_what_the_connections_shared_too() -> None:
    made = Bench(spec())
    made.session.close()
    assert made.connector.closed


# ------------------------------------------------------------------------------------------------ results, secrets


def test_results_add_up() -> None:
    made = Bench(spec())
    made.session.results.keep({"key": "a"})
    made.session.results.keep({"key": "b"})
    assert [result["key"] for result in made.store.state.measured] == ["a", "b"]


def test_a_secret_stays_the_same_and_is_nowhere_else(tmp_path: Path) -> None:
    made = Bench(spec())
    secret = made.session.secret("spark")
    assert made.again().session.secret("spark") == secret
    assert len(secret.reveal()) >= 32
    state = (made.store.folder / "state.json").read_text()
    assert secret.reveal() not in state
