"""The use cases as a Python program calls them, in this process, against the simulator: values in, values out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import provisioner
from provisioner import steps
from provisioner.deployment import Session
from provisioner.errors import CloudRefusedError, InterruptedRun, NoCapacityError, StateError, UsageError
from provisioner.inventory.spec import Spec
from provisioner.operations.down import Removal
from provisioner.operations.up import UpResult
from provisioner.runner import Event
from provisioner.step import Plan, Presence
from tests.support.site import NETWORK_AND_INSTANCES, ONE_OF_EACH, Site


@pytest.fixture(name="spec")
def _spec(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Spec]:
    """An inventory on the simulator, of which `up` does the phases of the cloud alone. Nothing may be printed."""
    monkeypatch.setenv("PROVISIONER_ENDPOINT", site.simulator.endpoint)
    whole = steps.plan

    def begun(session: Session) -> Plan:
        plan = whole(session)
        return Plan(plan.name, plan.phases[:NETWORK_AND_INSTANCES])

    monkeypatch.setattr(steps, "plan", begun)
    yield provisioner.load(site.inventory())
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


# ------------------------------------------------------------------------------------------------- up


def test_up_says_what_it_changed_and_what_exists(site: Site, spec: Spec) -> None:
    events: list[Event] = []
    first = provisioner.up(spec, events.append)
    assert first.changed == len([event for event in events if event.kind == "done"]) > 0
    assert first.removal is first.report is None
    assert first.exists.startswith("1 instance of demo exists, ")
    assert first.exists.endswith("an hour; `provisioner down demo` removes everything")
    assert site.kinds() == ONE_OF_EACH
    second = provisioner.up(spec)
    assert (second.changed, second.present) == (0, first.changed + first.present)


def test_removing_after_success_comes_after_the_result_was_heard(site: Site, spec: Spec) -> None:
    heard: list[object] = []

    def on_up(result: UpResult) -> None:
        heard.append(site.kinds() == ONE_OF_EACH)

    result = provisioner.up(spec, remove=True, on_up=on_up, on_removal=heard.append)
    assert heard == [True, result.removal]
    assert result.exists == ""
    assert result.removal is not None
    assert {resource.kind for resource in result.removal.resources} >= {"vpc", "instance"}
    assert result.removal.proof is not None
    assert result.removal.proof.region == spec.cloud.region
    assert "0 left" in str(result.removal.proof)
    assert site.simulator.resources == []


@pytest.mark.parametrize("wrong", [ValueError("a mistake of the caller's"), KeyboardInterrupt()], ids=repr)
def test_what_the_caller_raises_removes_all_the_same(site: Site, spec: Spec, wrong: BaseException) -> None:
    events: list[Event] = []
    removals: list[Removal] = []

    def on_up(result: UpResult) -> None:
        raise wrong

    expected = InterruptedRun if isinstance(wrong, KeyboardInterrupt) else ValueError
    with pytest.raises(expected) as raised:
        provisioner.up(spec, events.append, remove=True, on_up=on_up, on_removal=removals.append)
    if expected is InterruptedRun:
        assert str(raised.value) == "interrupted: everything was removed"
    reason = "interrupted" if expected is InterruptedRun else "a mistake of the caller's"
    assert [e.text for e in events if e.kind == "notice"] == [f"{reason}; removing everything, as --rm asks"]
    assert len(removals) == 1
    assert site.simulator.resources == []


def test_without_removing_an_interruption_says_what_exists(site: Site, spec: Spec) -> None:
    def on_up(result: UpResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRun, match=r"1 instance of demo exists, .*`provisioner down demo`"):
        provisioner.up(spec, on_up=on_up)
    assert site.kinds() == ONE_OF_EACH


def test_without_removing_a_failure_says_what_exists_before_it_is_raised(site: Site, spec: Spec) -> None:
    events: list[Event] = []
    refusal = {"kind": "error", "code": "Forbidden.RAM", "status": 403, "times": None}
    site.faults({"action": "RunInstances", **refusal})
    with pytest.raises(CloudRefusedError):
        provisioner.up(spec, events.append)
    notices = [event.text for event in events if event.kind == "notice"]
    assert notices == [
        "no instance of demo exists, and its network costs nothing; `provisioner down demo` removes everything"
    ]


# ------------------------------------------------------------------------------------------------- down


def test_a_callback_that_fails_does_not_stop_a_removal(site: Site, spec: Spec) -> None:
    """It is raised once everything is gone, and the deployment's end is noted."""
    provisioner.up(spec)
    heard: list[Event] = []

    def fails(event: Event) -> None:
        heard.append(event)
        raise OSError("nobody listens")

    with pytest.raises(OSError, match="nobody listens"):
        provisioner.down("demo", fails)
    assert len(heard) == 1
    assert site.simulator.resources == []
    assert provisioner.status("demo").state == "removed"


def test_a_callback_that_fails_stops_what_is_being_made(site: Site, spec: Spec) -> None:
    def fails(event: Event) -> None:
        raise OSError("nobody listens")

    with pytest.raises(OSError, match="nobody listens"):
        provisioner.up(spec, fails)
    assert site.kinds() == {}


def test_what_was_made_before_a_callback_failed_is_removed_though_it_goes_on_failing(site: Site, spec: Spec) -> None:
    heard: list[Event] = []

    def fails_from_the_first_change_on(event: Event) -> None:
        heard.append(event)
        if any(each.kind == "done" for each in heard):
            raise OSError("nobody listens")

    with pytest.raises(OSError, match="nobody listens"):
        provisioner.up(spec, fails_from_the_first_change_on, remove=True)
    assert "CreateVpc" in site.actions()
    assert site.simulator.resources == []
    assert provisioner.status("demo").state == "removed"


def test_hosts_that_are_instances_cannot_be_forgotten(site: Site, spec: Spec) -> None:
    provisioner.up(spec)
    with pytest.raises(UsageError, match="the hosts of demo are instances"):
        provisioner.down("demo", forget_hosts=True)
    assert site.kinds() == ONE_OF_EACH


def test_a_deployment_that_does_not_exist_cannot_be_removed(spec: Spec) -> None:
    with pytest.raises(StateError, match="there is no deployment called demo"):
        provisioner.down("demo")


# ------------------------------------------------------------------------------------------------- looking


def test_what_is_there_already(spec: Spec) -> None:
    assert provisioner.existing(spec) == ()
    provisioner.up(spec)
    findings = {finding.step: finding for finding in provisioner.existing(spec)}
    assert findings["vpc"].presence is findings["instances"].presence is Presence.PRESENT
    assert findings["vpc"].as_json()["presence"] == "present"


def test_preflight_is_what_up_would_meet(spec: Spec) -> None:
    preflight = provisioner.preflight(spec)
    assert preflight is not None
    assert preflight.request.instance_type == "ecs.hfc7.large"
    assert preflight.request.zone in preflight.stock["ecs.hfc7.large"]
    assert preflight.per_hour == preflight.price.per_hour > 0
    assert preflight.most == pytest.approx(preflight.per_hour, rel=0.05), "released after one hour"
    assert not preflight.dry_run
    assert preflight.as_json()["first_choice"]["instance_type"] == "ecs.hfc7.large"
    assert provisioner.preflight(Spec(name="mine", provider="local")) is None


def test_preflight_raises_what_up_would(site: Site, spec: Spec) -> None:
    cloud = spec.cloud.model_copy(update={"zones": ("cn-hangzhou-x",)})
    with pytest.raises(CloudRefusedError, match="cn-hangzhou-x"):
        provisioner.preflight(spec.model_copy(update={"cloud": cloud}))
    site.faults({"kind": "no-stock", "times": None})
    with pytest.raises(NoCapacityError, match="is in stock in cn-hangzhou"):
        provisioner.preflight(spec)


def test_status_asks_the_cloud(site: Site, spec: Spec) -> None:
    provisioner.up(spec)
    (status,) = provisioner.statuses()
    (host,) = status.hosts
    assert (status.name, status.state, host.name, host.state) == ("demo", "exists", "demo-001", "Running")
    assert status.cost is not None
    assert status.cost.per_hour > 0
    assert status.release_in_s is not None
    assert 0 < status.release_in_s <= 3660
    assert json.loads(json.dumps(status.as_json()))["hosts"][0]["type"] == "ecs.hfc7.large"
    with pytest.raises(StateError, match="there is no deployment called other"):
        provisioner.statuses(["other"])


def test_one_that_cannot_be_asked_has_its_problem_and_hides_no_other(site: Site, spec: Spec) -> None:
    provisioner.up(spec)
    site.faults({"action": "*", "kind": "error", "code": "Forbidden.RAM", "status": 403, "times": None})
    (status,) = provisioner.statuses()
    assert status.hosts == ()
    assert status.problem
    assert status.state == f"could not be asked: {status.problem}"
    assert status.as_json()["problem"] == status.problem


def test_what_a_deployment_left_behind_is_found_and_removed(site: Site, spec: Spec) -> None:
    provisioner.up(spec)
    leftovers = provisioner.leftovers("cn-hangzhou")
    assert {resource.kind for resource in leftovers.resources} == set(ONE_OF_EACH)
    assert site.kinds() == ONE_OF_EACH, "nothing is removed by looking"
    removal = leftovers.remove()
    assert removal.resources == leftovers.resources
    assert "by tag provisioner:name in region cn-hangzhou" in str(removal.proof)
    assert site.simulator.resources == []


# ------------------------------------------------------------------------------------------------- run, report


def test_run_and_report_of_what_is_not_there(spec: Spec) -> None:
    with pytest.raises(StateError, match="there is no deployment called demo"):
        provisioner.run("demo")
    provisioner.up(spec)
    with pytest.raises(UsageError, match="steps"):
        provisioner.run("demo", {"steps": 0})
    with pytest.raises(StateError, match="demo has no measurements yet"):
        provisioner.report("demo")
    provisioner.down("demo")
    with pytest.raises(StateError, match="demo was removed: `provisioner up` makes it anew"):
        provisioner.run("demo")
