"""The training data is looked for on every host before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner import steps
from provisioner.errors import HostError
from provisioner.step import ABSENT, Finding, Presence
from provisioner.steps.data import DataStep
from tests.support.deployments import Bench, static_spec
from tests.support.hosts import FakeHost


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """The data's path, relative to each host's own folder in these tests."""
    return tmp_path / "data"


def looks(tmp_path: Path, data: str, *names: str) -> dict[str, DataStep]:
    made = Bench(static_spec(*names, workload={"data": data, "epochs": 1}), *(FakeHost(n, tmp_path / n) for n in names))
    return {name: DataStep(made.session.host(name), made.session.hosts[0]) for name in names}


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_tfrecord_files_are_counted(tmp_path: Path, folder: Path) -> None:
    write(folder, "train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001")
    step = looks(tmp_path, str(folder), "a")["a"]
    assert step.check() == Finding(Presence.PRESENT, "2 + 1 TFRecord files")


def test_classes_of_pictures_are_counted(tmp_path: Path, folder: Path) -> None:
    write(folder, "train/cat/1.jpg", "train/dog/1.jpg", "validation/cat/2.jpg")
    assert looks(tmp_path, str(folder), "a")["a"].check() == Finding(Presence.PRESENT, "2 classes of pictures")


def test_texts_are_found(tmp_path: Path, folder: Path) -> None:
    write(folder, "train-v1.1.json")
    assert looks(tmp_path, str(folder), "a")["a"].check() == Finding(Presence.PRESENT, "SQuAD's JSON")


@pytest.mark.parametrize("names", [(), ("readme",)])
def test_no_data_stops_before_the_training(tmp_path: Path, folder: Path, names: tuple[str, ...]) -> None:
    write(folder, *names)
    step = looks(tmp_path, str(folder), "a")["a"]
    assert step.check() == ABSENT
    with pytest.raises(HostError, match=f"a has no training data in {folder}: neither train-00000-of-N files nor"):
        step.apply()


def test_a_host_with_other_data_than_the_first_is_named(tmp_path: Path) -> None:
    """The path is relative, so that each host of the test has a folder of its own."""
    for name, files in {"a": ("1", "2"), "b": ("1", "2"), "c": ("1",)}.items():
        write(tmp_path / name / "data", *(f"train-0000{number}-of-00002" for number in files))
    found = looks(tmp_path, "data", "a", "b", "c")
    assert [found[name].check().presence for name in "abc"] == [Presence.PRESENT, Presence.PRESENT, Presence.ABSENT]
    with pytest.raises(HostError, match=r"c has other training data in data: 1 \+ 0 .* where a has 2 \+ 0"):
        found["c"].apply()


def test_a_file_of_another_size_is_other_data(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / name / "data", "train-00001-of-00001")
    (tmp_path / "b/data/train-00001-of-00001").write_text("cut")
    assert looks(tmp_path, "data", "a", "b")["b"].check().presence is Presence.ABSENT


def test_the_plan_looks_on_every_host_before_training(tmp_path: Path) -> None:
    made = Bench(static_spec("a", "b", workload={"data": "/d", "epochs": 1}), FakeHost("a", tmp_path))
    phases = [phase.name for phase in steps.plan(made.session).phases]
    assert phases[-3:] == ["data", "training", "history"]
    assert [step.host for phase, step in steps.plan(made.session).steps() if phase == "data"] == ["a", "b"]
    synthetic = Bench(static_spec("a"), FakeHost("a", tmp_path))
    assert "data" not in [phase.name for phase in steps.plan(synthetic.session).phases]
