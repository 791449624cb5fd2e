"""A deployment lives somewhere: no command looks for it in another region, at another endpoint, in another account.

The real SDK over HTTP, against two simulators, two regions, two accounts.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner import steps
from provisioner.adapters.store import FolderStore, state_root
from provisioner.errors import CloudUnavailableError
from provisioner.operations import opening
from provisioner.runner import Runner
from provisioner.simulator import background
from provisioner.simulator.server import Simulator
from tests.support.cli import provisioner, write
from tests.support.site import ONE_OF_EACH, Site

COMMANDS = [["down", "demo", "--yes"], ["status", "demo"], ["run", "demo"]]


@pytest.fixture
def elsewhere() -> Iterator[Simulator]:
    """Another simulator, with nothing in it: another endpoint and another account."""
    with Simulator() as simulator:
        yield simulator


def instances(site: Site) -> list[str]:
    return [resource["id"] for resource in site.simulator.resources if resource["kind"] == "instance"]


# ------------------------------------------------------------------------------------------------- another region


def test_up_with_another_region_is_drift_and_creates_nothing(site: Site) -> None:
    site.up(site.inventory())
    done = site.run("up", site.inventory(cloud=", region: cn-beijing"), "--yes")
    assert done.code == 1
    assert "demo lives in region cn-hangzhou" in done.err
    assert "region cn-beijing" in done.err
    assert "`provisioner down demo`" in done.err
    assert site.kinds() == ONE_OF_EACH
    assert {call["params"].get("RegionId") for call in site.simulator.calls} <= {"cn-hangzhou", None}


def test_down_removes_where_it_lives_though_the_inventory_was_edited(site: Site) -> None:
    site.up(site.inventory())
    (instance,) = instances(site)
    site.run("up", site.inventory(cloud=", region: cn-beijing"), "--yes")
    done = site.run("down", "demo", "--yes")
    assert done.code == 0, done.err
    assert instance in done.out
    assert site.kinds() == {}


def test_a_new_life_may_be_in_another_region_and_knows_no_zones_of_the_last(site: Site) -> None:
    site.up(site.inventory())
    assert site.run("down", "demo", "--yes").code == 0
    site.up(site.inventory(cloud=", region: cn-beijing"))
    state = FolderStore.open("demo", create=False).state
    assert state.place.region == "cn-beijing"
    assert {zone.rpartition("-")[0] for zone in state.vswitch_zones} == {"cn-beijing"}
    assert site.run("down", "demo", "--yes").code == 0
    assert site.kinds() == {}


# ------------------------------------------------------------------------------------------------- another endpoint


@pytest.mark.parametrize("words", COMMANDS[:2], ids=lambda words: words[0])
def test_a_command_goes_to_the_endpoint_it_lives_at(site: Site, elsewhere: Simulator, words: list[str]) -> None:
    site.up(site.inventory())
    before = len(site.actions())
    provisioner(*words, PROVISIONER_ENDPOINT=elsewhere.endpoint)
    assert elsewhere.calls == []
    assert "DescribeInstances" in site.actions()[before:]


def test_down_removes_at_its_endpoint_whatever_the_environment_says(site: Site, elsewhere: Simulator) -> None:
    site.up(site.inventory())
    (instance,) = instances(site)
    done = provisioner("down", "demo", "--yes", PROVISIONER_ENDPOINT=elsewhere.endpoint)
    assert done.code == 0, done.err
    assert instance in done.out
    assert site.kinds() == {}


def test_up_at_another_endpoint_is_drift_and_creates_nothing(site: Site, elsewhere: Simulator) -> None:
    site.up(site.inventory())
    done = provisioner("up", site.inventory(), "--yes", PROVISIONER_ENDPOINT=elsewhere.endpoint)
    assert done.code == 1
    assert site.simulator.endpoint in done.err
    assert elsewhere.endpoint in done.err
    assert elsewhere.resources == []


def test_where_nobody_answers_down_says_so_and_forgets_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioner.adapters.ecs.api.FIRST_ANSWER_S", 0.1)
    site.up(site.inventory(), phases=1)
    endpoint = site.simulator.endpoint
    site.simulator.__exit__()
    with (
        opening.opened(opening.saved_spec("demo"), lambda event: None, create=False) as (session, emit),
        pytest.raises(
            CloudUnavailableError, match=f"demo lives in .*{endpoint}.*if that simulator has ended"
        ) as caught,
    ):
        Runner(session, steps.plan(session), emit).down()
    assert str(session.store.folder) in caught.value.remedy
    assert session.store.state.removed_at is None


# ------------------------------------------------------------------------------------------------- another account


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_with_another_accounts_credentials_nothing_is_looked_up(site: Site, words: list[str]) -> None:
    site.up(site.inventory())
    home, site.simulator.service.account.id = site.simulator.service.account.id, "1234567890123456"
    before = len(site.actions())
    done = site.run(*words)
    assert set(site.actions()[before:]) == {"GetCallerIdentity"}
    assert home in done.err + done.out
    assert "1234567890123456" in done.err + done.out
    assert site.kinds() == ONE_OF_EACH
    site.simulator.service.account.id = home
    assert site.run("down", "demo", "--yes").code == 0
    assert site.kinds() == {}


def test_up_with_another_accounts_credentials_is_drift(site: Site) -> None:
    site.up(site.inventory())
    site.simulator.service.account.id = "1234567890123456"
    before = len(site.actions())
    done = site.run("up", site.inventory(), "--yes")
    assert done.code == 1
    assert "account 1234567890123456" in done.err
    assert set(site.actions()[before:]) == {"GetCallerIdentity"}


# ------------------------------------------------------------------------------------------------- the proof


def test_the_proof_names_account_region_and_endpoint(site: Site) -> None:
    site.up(site.inventory())
    account = site.simulator.service.account.id
    out = site.run("down", "demo", "--yes").out
    (proof,) = [line for line in out.splitlines() if line.startswith("Proof: ")]
    for word in (f"account {account}", "region cn-hangzhou", site.simulator.endpoint.removeprefix("http://")):
        assert word in proof


def test_what_was_neither_listed_nor_deleted_is_not_called_removed(site: Site) -> None:
    """Released by itself meanwhile, as after its auto release time."""
    site.up(site.inventory())
    (instance,) = instances(site)
    site.simulator.advance(3700)
    assert instances(site) == []
    done = site.run("down", "demo", "--yes")
    assert done.code == 0, done.err
    removed = done.out[done.out.index("Removed:") :]
    assert instance not in removed
    assert "vpc-" in removed


# ------------------------------------------------------------------------------------------------- our own simulator

OWN = "name: own\nprovider: simulator\nruntime: host\ncloud: {instance_types: [ecs.hfc7.large]}\n"


@pytest.fixture
def own(site: Site) -> Iterator[str]:
    """A deployment in the simulator that the user's commands share, which is started and found without an endpoint."""
    path = write(site.folder / "own.yaml", OWN)
    folder = state_root() / ".simulator-process"
    background.start(folder, "none", pace=0)
    process = site.partial(path, 1, PROVISIONER_ENDPOINT="")
    code, _, err = site.end(process)
    assert code == 0, err
    yield "own"
    background.clean(folder)


def test_our_own_simulator_is_found_again_at_another_port(own: str) -> None:
    folder = state_root() / ".simulator-process"
    before = background.status(folder)
    assert before is not None
    background.stop(folder)
    done = provisioner("down", own, "--yes")
    assert done.code == 0, done.err
    assert "vpc-" in done.out
    assert "0 left" in done.out


@pytest.mark.parametrize("anew", [False, True])
def test_when_our_own_simulator_is_gone_so_is_all_it_held_and_down_says_so(own: str, anew: bool) -> None:
    folder = state_root() / ".simulator-process"
    background.clean(folder)
    if anew:
        background.start(folder, "none")
    done = provisioner("down", own, "--yes")
    assert done.code == 0, done.err
    assert "the simulator that held own is gone, and all that was in it" in done.out
    assert "Removed:" not in done.out
    assert FolderStore.open(own, create=False).state.removed_at is not None
