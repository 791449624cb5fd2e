"""The runner with steps that only tell: preview, up, down, and what it makes of failures and Ctrl-C."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any

import pytest

from provisioner.deployment.journal import LAG_S
from provisioner.errors import (
    CloudUnavailableError,
    CommandError,
    ConnectError,
    DeadlineError,
    DriftError,
    HostError,
    HostKeyError,
    LeftoverError,
    PartialFailureError,
    StateError,
)
from provisioner.runner import KINDS, Outcome
from provisioner.step import ABSENT, Finding, Phase, Presence
from tests.support.cloud import FakeCloud
from tests.support.deployments import Bench, left_open, place_hosts, spec, static_spec
from tests.support.hosts import FakeHost
from tests.support.processes import press_ctrl_c
from tests.support.steps import FakeStep, World, each_time

PATIENCE_S = 60
"""How long a test waits for another thread before it fails; never waited out when all is well."""


@pytest.fixture(name="bench")
def _bench() -> Bench:
    return Bench(spec())


@pytest.fixture(name="world")
def _world() -> World:
    return World()


def met(event: threading.Event) -> Callable[[], Any]:
    """A callback that waits for an event and fails without it."""

    def wait() -> None:
        assert event.wait(PATIENCE_S), "the other host never came so far"

    return wait


# ------------------------------------------------------------------------------------------------ up: one step


def test_what_is_present_is_skipped(bench: Bench) -> None:
    """Looked at once, not applied, counted as present."""
    world = World("a")
    assert bench.runner(FakeStep(world, "a")).up() == Outcome(changed=0, present=1)
    assert world.log == [("check", "a")]
    assert bench.emitted("present") == ["a"]


def test_what_is_absent_is_applied_and_looked_at_again(bench: Bench, world: World) -> None:
    assert bench.runner(FakeStep(world, "a")).up() == Outcome(changed=1, present=0)
    assert world.log == [("check", "a"), ("apply", "a"), ("check", "a")]
    assert bench.emitted("done") == ["a"]


def test_what_shows_late_is_waited_for(bench: Bench, world: World) -> None:
    """What a cloud lists lags behind what it did."""
    step = FakeStep(world, "a", on_apply=lambda: True)
    bench.clock.on_sleep = lambda _: world.present.add("a") if len(bench.clock.slept) == 3 else None
    assert bench.runner(step).up().changed == 1
    assert world.told("apply") == ["a"]
    assert len(bench.clock.slept) == 3


def test_what_never_shows_is_a_deadline_missed(bench: Bench, world: World) -> None:
    step = FakeStep(world, "a", on_apply=lambda: True)
    with pytest.raises(DeadlineError, match="Do a: done, and yet not there") as caught:
        bench.runner(step).up()
    assert caught.value.remedy
    assert world.told("apply") == ["a"]
    assert 10 <= bench.clock.monotonic() <= 120


def test_drift_stops_with_the_difference_before_anything_is_applied(bench: Bench, world: World) -> None:
    drifted = FakeStep(world, "b", finding=Finding(Presence.DRIFTED, "it is green, not blue"))
    runner = bench.runner(FakeStep(world, "a"), drifted, FakeStep(world, "c"))
    with pytest.raises(DriftError, match="it is green, not blue") as caught:
        runner.up()
    assert "provisioner down demo" in caught.value.remedy
    assert world.told("apply") == ["a"]


def test_drift_that_shows_after_applying_stops_too(bench: Bench, world: World) -> None:
    answers = iter([ABSENT, Finding(Presence.DRIFTED, "another type")])
    step = FakeStep(world, "a")
    step.check = lambda: next(answers)  # type: ignore[method-assign]
    with pytest.raises(DriftError, match="another type"):
        bench.runner(step).up()


def test_an_error_of_a_look_is_not_taken_for_absent(bench: Bench, world: World) -> None:
    step = FakeStep(world, "a", on_check=each_time(CloudUnavailableError("no answer")))
    with pytest.raises(CloudUnavailableError):
        bench.runner(step).up()
    assert world.told("apply") == []


def test_a_second_up_changes_nothing(bench: Bench, world: World) -> None:
    steps = [FakeStep(world, "a"), FakeStep(world, "b", host="web-1"), FakeStep(world, "c", host="web-2")]
    assert bench.runner(*steps).up() == Outcome(changed=3, present=0)
    world.log.clear()
    assert bench.runner(*steps).up() == Outcome(changed=0, present=3)
    assert world.told("apply") == []


# ------------------------------------------------------------------------------------------------ up: order


def test_phases_come_one_after_the_other_and_hostless_steps_first(bench: Bench, world: World) -> None:
    first = Phase("one", (FakeStep(world, "a", host="web-1"), FakeStep(world, "b"), FakeStep(world, "c", host="web-2")))
    second = Phase("two", (FakeStep(world, "d", host="web-1"),))
    bench.runner(first, second).up()
    applied = world.told("apply")
    assert applied[0] == "b"
    assert set(applied[1:3]) == {"a", "c"}
    assert applied[3] == "d"
    assert [event.text for event in bench.events if event.kind == "phase"] == ["one", "two"]


def test_hosts_work_side_by_side_and_the_steps_of_one_in_order(bench: Bench, world: World) -> None:
    """Each host waits in its first step until the other is in its own: one after the other they would never meet."""
    here, there = threading.Event(), threading.Event()

    def meet(mine: threading.Event, other: threading.Event) -> Callable[[], Any]:
        return lambda: (mine.set(), met(other)())[1]

    bench.runner(
        FakeStep(world, "a1", host="a", on_apply=meet(here, there)),
        FakeStep(world, "a2", host="a"),
        FakeStep(world, "b1", host="b", on_apply=meet(there, here)),
        FakeStep(world, "b2", host="b"),
    ).up()
    applied = world.told("apply")
    assert [name for name in applied if name[0] == "a"] == ["a1", "a2"]
    assert [name for name in applied if name[0] == "b"] == ["b1", "b2"]


def test_a_hundred_hosts_all_get_their_turn(bench: Bench, world: World) -> None:
    hosts = [f"web-{number:03d}" for number in range(100)]
    outcome = bench.runner(*(FakeStep(world, f"do/{host}", host=host) for host in hosts)).up()
    assert outcome == Outcome(changed=100, present=0)
    assert sorted(world.told("apply")) == [f"do/{host}" for host in hosts]


# ------------------------------------------------------------------------------------------------ up: failures


def test_a_failing_host_stops_only_its_own_steps(bench: Bench, world: World) -> None:
    """The others go on to the end of the phase, the next phase does not begin, and each failure is kept."""
    failed = threading.Event()
    full = HostError("disk full", host="b", tail=["No space left on device"])
    phase = Phase(
        "one",
        (
            FakeStep(world, "a1", host="a", on_apply=met(failed)),
            FakeStep(world, "a2", host="a"),
            FakeStep(world, "b1", host="b", on_apply=each_time(full)),
            FakeStep(world, "b2", host="b"),
            FakeStep(world, "c1", host="c", on_apply=each_time(CommandError("no such command", host="c"))),
        ),
    )
    runner = bench.runner(phase, Phase("two", (FakeStep(world, "d"),)))
    emit = runner.emit
    runner.emit = lambda event: (emit(event), failed.set() if event.kind == "failed" else None)[0]
    with pytest.raises(PartialFailureError, match="2 of 3 hosts") as caught:
        runner.up()
    assert set(world.told("apply")) == {"a1", "a2", "b1", "c1"}
    assert {name: str(error) for name, error in caught.value.failures} == {"b1": "disk full", "c1": "no such command"}
    assert dict(caught.value.failures)["b1"].tail == ("No space left on device",)  # type: ignore[attr-defined]
    assert sorted(bench.emitted("failed")) == ["b1", "c1"]


def test_the_failure_of_the_only_host_is_raised_as_it_is(bench: Bench, world: World) -> None:
    error = HostError("disk full")
    with pytest.raises(HostError) as caught:
        bench.runner(FakeStep(world, "a", host="web-1", on_apply=each_time(error))).up()
    assert caught.value is error


def test_a_mistake_in_a_step_is_raised_and_not_lost_in_its_thread(bench: Bench, world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        bench.runner(FakeStep(world, "a", host="web-1", on_apply=lambda: 1 / 0), FakeStep(world, "b", host="b")).up()


def test_a_cut_connection_is_looked_at_again_and_repeated_only_when_absent(bench: Bench, world: World) -> None:
    step = FakeStep(world, "a", host="web-1", on_apply=each_time(ConnectError("cut")))
    assert bench.runner(step).up().changed == 1
    assert world.log == [(what, "a") for what in ("check", "apply", "check", "apply", "check")]


def test_what_was_done_before_the_cut_is_not_repeated(bench: Bench, world: World) -> None:
    def done_and_cut() -> None:
        world.present.add("a")
        raise ConnectError("cut")

    assert bench.runner(FakeStep(world, "a", host="web-1", on_apply=done_and_cut)).up().changed == 1
    assert world.told("apply") == ["a"]


def test_a_connection_that_stays_cut_is_a_failure(bench: Bench, world: World) -> None:
    step = FakeStep(world, "a", host="web-1", on_apply=each_time(ConnectError("cut"), ConnectError("cut again")))
    with pytest.raises(ConnectError, match="cut again"):
        bench.runner(step).up()


def test_a_wrong_host_key_is_never_tried_again(bench: Bench, world: World) -> None:
    step = FakeStep(world, "a", host="web-1", on_apply=each_time(HostKeyError("changed")))
    with pytest.raises(HostKeyError):
        bench.runner(step).up()
    assert world.log == [("check", "a"), ("apply", "a")]


# ------------------------------------------------------------------------------------------------ Ctrl-C


def test_ctrl_c_ends_the_hosts_work_and_is_raised(tmp_path: Any, world: World) -> None:
    """Connections are cut, so what the hosts are at ends; nothing new is begun; then the main thread goes on."""
    hosts = [FakeHost("a", tmp_path / "a"), FakeHost("b", tmp_path / "b")]
    bench = Bench(static_spec("a", "b"), *hosts)
    both = threading.Barrier(2, action=press_ctrl_c)

    def long_work(host: str) -> Callable[[], Any]:
        def work() -> None:
            connection = bench.session.host(host).connection()
            both.wait(PATIENCE_S)
            connection.run("sleep 1000")

        return work

    runner = bench.runner(
        FakeStep(world, "a1", host="a", on_apply=long_work("a")),
        FakeStep(world, "a2", host="a"),
        FakeStep(world, "b1", host="b", on_apply=long_work("b")),
        FakeStep(world, "b2", host="b"),
    )
    with pytest.raises(KeyboardInterrupt):
        runner.up()
    assert sorted(world.told("apply")) == ["a1", "b1"]  # and not once more, although the connection was cut
    assert bench.connector.connected.count("a") == 1


def test_ctrl_c_does_not_wait_for_a_host_that_never_answers(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that hangs where no connection is to be cut must not hold the program up."""
    monkeypatch.setattr("provisioner.fan_out.ENDING_S", 0.01)
    release = threading.Event()

    def hang() -> None:
        press_ctrl_c()
        release.wait(PATIENCE_S)

    runner = bench.runner(FakeStep(world, "a", host="a", on_apply=hang), FakeStep(world, "b", host="a"))
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.up()
        assert not release.is_set()
    finally:
        release.set()


# ------------------------------------------------------------------------------------------------ preview


def test_a_preview_looks_and_changes_nothing(bench: Bench) -> None:
    """Behind something absent there is nothing to look at; the parts of the network are looked for one by one."""
    world = World("vpc", "key-pair")
    network = Phase("network", tuple(FakeStep(world, name) for name in ("vpc", "vswitch", "key-pair")))
    rest = Phase("instances", (FakeStep(world, "instances"), FakeStep(world, "host-keys")))
    hosts = Phase("hosts", (FakeStep(world, "login", host="a"),))
    found = bench.runner(network, rest, hosts).preview()
    assert [(step.name, finding.presence.value) for _, step, finding in found] == [
        ("vpc", "present"),
        ("vswitch", "absent"),
        ("key-pair", "present"),
        ("instances", "absent"),
        ("host-keys", "unknown"),
        ("login", "unknown"),
    ]
    assert world.told("apply") == []


def test_a_preview_goes_on_with_the_other_hosts(bench: Bench) -> None:
    world = World("a", "b")
    no_host = FakeStep(world, "a1", host="a", on_check=each_time(StateError("host a does not exist yet")))
    steps = (no_host, FakeStep(world, "a", host="a"), FakeStep(world, "b", host="b"))
    found = bench.runner(*steps).preview()
    assert [finding.presence.value for _, _, finding in found] == ["unknown", "unknown", "present"]
    assert found[0][2].detail == "host a does not exist yet"


# ------------------------------------------------------------------------------------------------ down


def test_down_undoes_what_does_not_go_by_itself_in_reverse(bench: Bench) -> None:
    world = World("a", "b", "c")
    steps = (FakeStep(world, "a"), FakeStep(world, "b", undone=False), FakeStep(world, "c"))
    bench.runner(Phase("one", steps), Phase("two", (FakeStep(world, "d", host="web-1"),))).down()
    assert world.told("undo") == ["d", "c", "a"]
    assert world.told("check") == world.told("apply") == []
    assert bench.emitted("undone") == ["d", "c", "a"]


def test_one_failure_does_not_stop_the_rest(bench: Bench) -> None:
    world = World("a", "b", "c")
    broken = CloudUnavailableError("throttled")
    steps = [FakeStep(world, "a"), FakeStep(world, "b", on_undo=each_time(broken)), FakeStep(world, "c")]
    with pytest.raises(PartialFailureError, match="1 step") as caught:
        bench.runner(*steps).down()
    assert world.told("undo") == ["c", "b", "a"]
    assert caught.value.failures == (("b", broken),)
    assert bench.emitted("failed") == ["b"]


def test_down_undoes_hosts_side_by_side_and_the_steps_of_one_in_reverse(bench: Bench) -> None:
    """Each host waits until the other is at its own: one after the other they would never meet."""
    world = World("a1", "a2", "b1", "c")
    here, there = threading.Event(), threading.Event()

    def meet(mine: threading.Event, other: threading.Event) -> Callable[[], Any]:
        return lambda: (mine.set(), met(other)())[1]

    bench.runner(
        FakeStep(world, "c"),
        FakeStep(world, "a1", host="a"),
        FakeStep(world, "a2", host="a", on_undo=meet(here, there)),
        FakeStep(world, "b1", host="b", on_undo=meet(there, here)),
    ).down()
    undone = world.told("undo")
    assert [name for name in undone if name[0] == "a"] == ["a2", "a1"]
    assert undone[-1] == "c"
    assert len(undone) == 4


def test_hosts_can_be_forgotten_and_the_cloud_cannot(bench: Bench) -> None:
    world = World("a", "b")
    gone, refused = ConnectError("no route"), CloudUnavailableError("throttled")
    dead = FakeStep(world, "a", host="web-1", on_undo=each_time(gone))
    runner = bench.runner(FakeStep(world, "b"), dead)
    runner.down(forget_hosts=True)
    assert [(failure.step.name, failure.error) for failure in runner.forgotten] == [("a", gone)]
    dead = FakeStep(world, "a", host="web-1", on_undo=each_time(gone))
    with pytest.raises(PartialFailureError) as caught:
        bench.runner(FakeStep(world, "b", on_undo=each_time(refused)), dead).down(forget_hosts=True)
    assert caught.value.failures == (("b", refused),)
    assert caught.value.remedy == ""


def test_a_full_disk_does_not_stop_down(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is kept in memory; before a removal it raises, since nothing may be made unrecorded."""

    def full(content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench.store, "_save", full)
    with pytest.raises(StateError, match="No space left"):
        place_hosts(bench.store, [])
    world = World("a", "b")
    forget = FakeStep(world, "a", on_undo=lambda: place_hosts(bench.store, [_address("x")]))
    bench.runner(FakeStep(world, "b"), forget).down()
    assert world.told("undo") == ["a", "b"]
    assert [host.name for host in bench.store.state.hosts] == ["x"]
    assert "No space left" in str(bench.store.unwritten)


def test_what_is_left_is_listed_with_its_id_and_the_reason(bench: Bench, world: World) -> None:
    bench.cloud.add("vpc", bench.session.deployment.tags, id="vpc-left", name="demo")
    step = FakeStep(world, "vpc", on_undo=each_time(CloudUnavailableError("DependencyViolation")))
    with pytest.raises(LeftoverError) as caught:
        bench.runner(step).down()
    assert "vpc vpc-left demo" in caught.value.message
    assert "DependencyViolation" in caught.value.message
    assert "provisioner down demo" in caught.value.remedy


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_looked_for_again(bench: Bench, world: World, kind: Any) -> None:
    """Also what no step of the plan knows of."""
    identifier = bench.cloud.add(kind, bench.session.deployment.tags)
    with pytest.raises(LeftoverError, match=identifier):
        bench.runner(FakeStep(world, "a")).down()


def test_the_neighbours_things_are_not_ours(bench: Bench, world: World) -> None:
    bench.cloud.add("vpc", {"provisioner:name": "demo-2", "provisioner:run": "r1"})
    bench.cloud.add("vpc", {"provisioner:name": "demo", "provisioner:run": "somebody else's"})
    bench.runner(FakeStep(world, "a")).down()


def test_an_error_while_looking_again_is_not_taken_for_nothing_left(bench: Bench, world: World) -> None:
    bench.cloud.failures["find"] = [CloudUnavailableError("502")]
    with pytest.raises(CloudUnavailableError):
        bench.runner(FakeStep(world, "a")).down()
    assert world.told("undo") == ["a"]


def test_a_lost_reply_is_waited_for_before_it_is_believed(bench: Bench, world: World) -> None:
    """The instance shows in the third second; down takes it along."""
    left_open(bench.session.journal, "instance")
    bench.clock.on_sleep = lambda _: (
        bench.cloud.add("instance", bench.session.deployment.tags) if len(bench.clock.slept) == 3 else None
    )
    remove = FakeStep(world, "instances", on_undo=bench.cloud.resources.clear)
    bench.runner(remove).down()
    assert len(bench.clock.slept) == 3
    assert "instance whose creation was not answered" in bench.told[0]
    assert bench.cloud.count() == {}


@pytest.mark.parametrize("kind", ["vpc", "vswitch", "security-group", "key-pair", "instance"])
def test_a_lost_reply_that_made_nothing_is_believed_after_a_while(bench: Bench, world: World, kind: Any) -> None:
    left_open(bench.session.journal, kind)
    bench.runner(FakeStep(world, "a")).down()
    assert LAG_S <= bench.clock.monotonic() <= LAG_S + 5


def test_without_lost_replies_nothing_is_waited_for(bench: Bench, world: World) -> None:
    bench.session.journal.create("vpc", "", lambda token: ["vpc-1"])
    bench.runner(FakeStep(world, "a")).down()
    assert bench.clock.slept == []


def test_hosts_that_are_not_ours_need_no_cloud(world: World) -> None:
    bench = Bench(spec(provider="static", hosts=[{"name": "a", "address": "192.0.2.1"}]), cloud=FakeCloud())
    bench.runner(FakeStep(world, "a", host="a")).down()
    assert world.told("undo") == ["a"]
    assert bench.cloud.calls == []


def _address(name: str) -> Any:
    from provisioner.hosts.address import HostAddress

    return HostAddress(name, "127.0.0.1", "127.0.0.1")
