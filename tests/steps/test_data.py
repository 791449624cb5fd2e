"""The training data is looked at on every host before anything starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provisioner import steps
from provisioner.errors import HostError
from provisioner.ports import Completed
from provisioner.step import ABSENT, Finding, Presence
from provisioner.steps.data import DataStep
from provisioner.steps.workload import WorkloadStep
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost

CASES = Path(__file__).parents[1] / "data" / "cases"
RECORDS = CASES / "shards-in-subfolders"
FOUND = "TFRecords in ImageNet's layout; train: 32 images, labels 0 to 1; validation: 8 images, labels 0 to 1"


def bench(tmp_path: Path, data: str, *names: str, **workload: object) -> Bench:
    workload = {"data": data, "epochs": 1, **workload}
    return Bench(static_spec(*names, workload=workload), *(FakeHost(name, tmp_path / name) for name in names))


def looks(tmp_path: Path, data: str, *names: str, **workload: object) -> dict[str, DataStep]:
    """The steps, with the workload on every host."""
    made = bench(tmp_path, data, *names, **workload)
    for host in made.session.hosts:
        host.facts()
        WorkloadStep(host).apply()
    return {host.name: DataStep(host, made.session.hosts[0]) for host in made.session.hosts}


def test_what_is_there_is_told(tmp_path: Path) -> None:
    step = looks(tmp_path, str(RECORDS), "a", classes=2, evaluate=True)["a"]
    assert step.check() == Finding(Presence.PRESENT, FOUND)


def test_what_was_skipped_is_told(tmp_path: Path) -> None:
    detail = looks(tmp_path, str(CASES / "hidden-class-folder"), "a")["a"].check().detail
    assert "train: 80 images, labels 0 to 4" in detail
    assert "1 hidden or companion entry skipped" in detail


@pytest.mark.parametrize(
    ("data", "workload", "problem"),
    [
        ("nothing", {}, "nothing is no folder on this host"),
        ("labels-from-zero", {}, "the labels in the files are 0 to 1 and must be from 1"),
        ("hidden-class-folder", {"classes": 4}, "has 5 classes; add workload.classes: 5"),
        ("shards-in-subfolders", {"model": "bert-tiny"}, "bert-tiny does not read; say workload.model: resnet50"),
        ("chinese", {"model": "bert-tiny", "evaluate": True}, r"has no dev\*.json"),
    ],
)
def test_what_the_model_does_not_expect_stops_before_the_training(
    tmp_path: Path, data: str, workload: dict[str, object], problem: str
) -> None:
    step = looks(tmp_path, str(CASES / data), "a", **workload)["a"]
    assert step.check().presence is Presence.ABSENT
    with pytest.raises(HostError, match=f"a has no fit training data in .*{problem}"):
        step.apply()


def test_nothing_is_believed_before_the_workload_is_there(tmp_path: Path) -> None:
    made = bench(tmp_path, str(RECORDS), "a")
    (host,) = made.session.hosts
    assert DataStep(host, host).check() == ABSENT


def test_a_look_that_fails_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    made = bench(tmp_path, str(RECORDS), "a")
    made.connector.hosts["a"].answers.append(("workload check", Completed(127, "sh: python3: not found")))
    (host,) = made.session.hosts
    with pytest.raises(HostError, match="the look at the training data failed on a") as caught:
        DataStep(host, host).check()
    assert caught.value.tail == ("sh: python3: not found",)


def test_a_host_with_other_data_than_the_first_is_named(tmp_path: Path) -> None:
    """The path is relative, so that each host of the test has a folder of its own."""
    for name in "abc":
        shutil.copytree(RECORDS, tmp_path / name / "data")
    (tmp_path / "b/data/validation/.DS_Store").write_text("on one host alone")
    cut = tmp_path / "c/data/validation/validation-00000-of-00001"
    cut.write_bytes(cut.read_bytes()[:-5])
    found = looks(tmp_path, "data", "a", "b", "c")
    assert [found[name].check().presence for name in "abc"] == [Presence.PRESENT, Presence.PRESENT, Presence.ABSENT]
    with pytest.raises(HostError, match=r"c has no fit training data in data: .*ends in the middle of a record"):
        found["c"].apply()
    (tmp_path / "c/data/train/train-00001-of-00002").write_bytes(
        (tmp_path / "c/data/train/train-00000-of-00002").read_bytes()
    )
    shutil.copy(RECORDS / "validation/validation-00000-of-00001", cut)
    with pytest.raises(HostError, match=r"other data than a: TFRecords .*, where it has TFRecords"):
        found["c"].apply()


def test_the_plan_looks_on_every_host_before_training(tmp_path: Path) -> None:
    made = bench(tmp_path, "/d", "a", "b")
    plan = steps.plan(made.session)
    assert [phase.name for phase in plan.phases][-4:] == ["workload", "data", "training", "history"]
    assert [step.name for phase, step in plan.steps() if phase in ("workload", "data")] == [
        "workload/a",
        "workload/b",
        "data/a",
        "data/b",
    ]
    assert [step.name for phase, step in plan.steps() if phase == "training"] == ["train/float32", "train/bfloat16"]
    synthetic = Bench(static_spec("a"), FakeHost("a", tmp_path))
    assert "data" not in [phase.name for phase in steps.plan(synthetic.session).phases]


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ('{"event": "verdict"}', Finding(Presence.PRESENT, "")),
        (
            '{"event": "verdict", "found": 7, "problems": "x", "notes": [1], "digest": null}',
            Finding(Presence.PRESENT, "7; 1"),
        ),
        ('{"event": "error"}', Finding(Presence.ABSENT, "")),
    ],
)
def test_a_line_of_other_types_is_no_mistake_of_ours(tmp_path: Path, line: str, finding: Finding) -> None:
    """A host's lines are not trusted: whatever it writes, the program goes on by what can be read of it."""
    made = bench(tmp_path, str(RECORDS), "a")
    made.connector.hosts["a"].answers = [("check --quick", line + "\n")]
    assert DataStep(*2 * made.session.hosts).check() == finding
