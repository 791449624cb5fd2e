"""`sweep` finds by tag what any deployment left behind, without its state folder."""

from __future__ import annotations

import shutil

import pytest

from tests.support.site import ONE_OF_EACH, Site


@pytest.fixture(name="forgotten")
def _forgotten(site: Site) -> Site:
    """A deployment that runs, whose state folder is gone; and a resource that nobody tagged."""
    site.up(site.inventory())
    shutil.rmtree(site.folder / "state/provisioner/demo")
    return site


def test_it_finds_and_removes_what_was_forgotten(forgotten: Site) -> None:
    done = forgotten.run("sweep", "--region", "cn-hangzhou", "--yes")
    assert (done.code, done.err) == (0, "")
    assert all(kind in done.out for kind in ONE_OF_EACH)
    assert "0 left" in done.out
    assert forgotten.simulator.resources == []


def test_it_shows_and_does_nothing_without_a_yes(forgotten: Site) -> None:
    done = forgotten.run("sweep", "--region", "cn-hangzhou")
    assert done.code == 2
    assert "demo" in done.out
    assert "add --yes" in done.err
    assert forgotten.kinds() == ONE_OF_EACH


def test_nothing_to_sweep_needs_no_yes(site: Site) -> None:
    done = site.run("sweep", "--region", "cn-hangzhou")
    assert done.code == 0
    assert "0 removed" in done.out


def test_other_peoples_things_stay(forgotten: Site) -> None:
    from tests.simulator.client import Client

    client = Client(forgotten.simulator)
    kept = client.call("CreateVpc", CidrBlock="10.0.0.0/16", VpcName="theirs")["VpcId"]
    assert forgotten.run("sweep", "--region", "cn-hangzhou", "--yes").code == 0
    assert [resource["id"] for resource in forgotten.simulator.resources] == [kept]


def test_what_stays_is_listed(forgotten: Site) -> None:
    stays = {"kind": "error", "code": "Forbidden.RAM", "status": 403, "times": None}
    forgotten.faults({"action": "DeleteVpc", **stays})
    done = forgotten.run("sweep", "--region", "cn-hangzhou", "--yes")
    assert done.code == 1
    assert "vpc-" in done.err
    assert forgotten.kinds() == {"vpc": 1}


def test_as_json(forgotten: Site) -> None:
    document = forgotten.run("sweep", "--region", "cn-hangzhou", "--yes", "--json").json
    assert {each["kind"] for each in document["removed"]} == set(ONE_OF_EACH)
    assert document["left"] == []


def test_another_region_is_another_place(forgotten: Site) -> None:
    done = forgotten.run("sweep", "--region", "cn-beijing", "--yes")
    assert "0 removed" in done.out
    assert forgotten.kinds() == ONE_OF_EACH
