"""`up` and `down` killed at every instant at which something changes, here or in the cloud.

The process dies before and after each write to the state folder and each changing call; then a new one begins. Whatever
the instant, the end is the same as without it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import pytest

from provisioner.errors import ProvisionerError
from tests.support.cloud import FakeCloud, Killed
from tests.support.deployments import Bench, spec

ONE_OF_EACH = {"vpc": 1, "vswitch": 1, "security-group": 1, "key-pair": 1, "instance": 2}
LAGS = [0, 3]
"""For how many looks the cloud's lists do not show what was just made."""


numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def without_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These are ten thousand writes, and the machine itself does not fail: nothing has to wait for the disk."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda descriptor: None)


def bench(hidden: int = 0, *, first_zone_sold_out: bool = False, **cloud_fields: Any) -> Bench:
    """A deployment of its own, in a cloud of its own."""
    cloud = FakeCloud()
    cloud.hidden = hidden
    cloud.sold_out = {("*", "cn-hangzhou-j")} if first_zone_sold_out else set()
    types = ["ecs.hfc7.xlarge", "ecs.hfg7.xlarge"]
    fields = {"instance_types": types, "count": 2, **cloud_fields}
    return Bench(spec(name=f"demo-{next(numbers)}", cloud=fields), cloud=cloud)


def instants(made: Bench, action: Callable[[Bench], None]) -> range:
    """The instants of an undisturbed run, which this is."""
    made.light(None)
    action(made)
    return range(1, made.cloud.fuse.crossed + 1)


def up(made: Bench) -> None:
    made.cloud_runner().up()


def down(made: Bench) -> None:
    made.cloud_runner().down()


def killed(made: Bench, action: Callable[[Bench], None], at: int) -> None:
    made.light(at)
    with pytest.raises(Killed):
        action(made)


def test_there_are_many_such_instants() -> None:
    """Two for each call that changes something (four parts of the network, a rule, instances, a command, and their
    removal), and two for each write."""
    made = bench()
    assert len(instants(made, up)) > 40
    assert len(instants(made, down)) >= 10


@pytest.mark.parametrize("hidden", LAGS)
def test_up_again_makes_none_twice(hidden: int) -> None:
    for at in instants(bench(), up):
        made = bench(hidden)
        killed(made, up, at)
        again = made.again()
        up(again)
        assert made.cloud.count() == ONE_OF_EACH, f"killed at {at}"
        assert again.store.state.unresolved == [], f"killed at {at}"
        assert again.cloud_runner().up().changed == 0, f"killed at {at}"


@pytest.mark.parametrize("sold_out", [False, True], ids=["first zone", "second zone"])
@pytest.mark.parametrize("hidden", LAGS)
def test_down_after_a_killed_up_forgets_nothing(hidden: int, sold_out: bool) -> None:
    """Nor the VSwitch of a zone in which no instance came."""
    for at in instants(bench(first_zone_sold_out=sold_out), up):
        made = bench(hidden, first_zone_sold_out=sold_out)
        killed(made, up, at)
        down(made.again())
        assert made.cloud.count() == {}, f"killed at {at}"


def test_up_again_after_the_first_zone_was_sold_out() -> None:
    """The VSwitch in the zone that had no stock stays, and is one."""
    for at in instants(bench(first_zone_sold_out=True), up):
        made = bench(first_zone_sold_out=True)
        killed(made, up, at)
        up(made.again())
        assert made.cloud.count() == {**ONE_OF_EACH, "vswitch": 2}, f"killed at {at}"


def test_a_changed_inventory_is_carried_through() -> None:
    """What the service changes in place, instance by instance."""
    changes = {
        "auto_release_hours": 24,
        "deletion_protection": True,
        "internet_bandwidth_mbps": 5,
        "tags": {"team": "b", "new": "c"},
    }

    def made_before() -> Bench:
        made = bench(tags={"team": "a", "old": "o"})
        up(made)
        made.cloud.change(next(iter(made.cloud.machines)), name="renamed")
        return made

    def with_changes(made: Bench) -> Bench:
        return made.again(cloud={**made.spec.cloud.model_dump(exclude_unset=True), **changes})

    moments = instants(with_changes(made_before()), up)
    assert len(moments) >= 30
    for at in moments:
        made = made_before()
        killed(with_changes(made), up, at)
        again = with_changes(made)
        up(again)
        assert again.cloud_runner().up().changed == 0, f"killed at {at}"
        assert len(made.cloud.called("run_instances")) == 1, f"killed at {at}"
        tags = {**made.session.deployment.own_tags, "team": "b", "new": "c"}
        assert [each.id for each in made.cloud.resources.values() if each.tags != tags] == [], f"killed at {at}"
        for instance, name in zip(made.cloud.machines.values(), made.session.deployment.host_names, strict=True):
            assert (instance.name, instance.deletion_protection, instance.bandwidth_mbps) == (name, True, 5)
            assert instance.auto_release_at is not None
            assert instance.auto_release_at.day == 2, f"killed at {at}"
        untagged = made.again(cloud={**with_changes(made).spec.cloud.model_dump(exclude_unset=True), "tags": {}})
        up(untagged)
        tags = made.session.deployment.own_tags
        assert [each.id for each in made.cloud.resources.values() if each.tags != tags] == [], f"killed at {at}"


def test_down_again_leaves_nothing() -> None:
    made = bench()
    up(made)
    for at in instants(made, down):
        made = bench()
        up(made)
        killed(made, down, at)
        down(made.again())
        assert made.cloud.count() == {}, f"killed at {at}"


@pytest.mark.parametrize("seed", range(20))
def test_killed_again_and_again(seed: int) -> None:
    """Up to three deaths in a row, at instants that differ for each seed."""
    made = bench(hidden=seed % 3)
    for death in range(3):
        made.light(1 + (seed * 7 + death * 11) % 60)
        try:
            up(made)
        except Killed:
            made = made.again()
        except ProvisionerError as error:
            raise AssertionError(f"death {death} of seed {seed}") from error
    made.light(None)
    up(made)
    assert made.cloud.count() == ONE_OF_EACH
    down(made.again())
    assert made.cloud.count() == {}
