"""What the one look at the data says of each kind of input, and that it needs no TensorFlow for it."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workload.support import ROOT
from workload import check, cli, layouts
from workload import records as records_of
from workload.check import Expected
from workload.errors import UsageError

CASES = ROOT / "tests" / "data" / "cases"
VERDICTS = yaml.safe_load((CASES / "verdicts.yaml").read_text())


def test_every_case_has_its_verdict():
    assert sorted(VERDICTS) == sorted(path.name for path in CASES.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", sorted(VERDICTS))
def test_the_verdict(case, capfd):
    expected = {"arguments": ["--classes", "2"], "problems": [], "notes": [], **VERDICTS[case]}
    code = cli.main(["check", str(CASES / case), "--quick", *expected["arguments"]])
    verdict = json.loads(capfd.readouterr().out)
    assert verdict["found"] == expected["found"]
    for kind in ("problems", "notes"):
        assert len(verdict[kind]) == len(expected[kind]), verdict[kind]
        for sentence, pattern in zip(verdict[kind], expected[kind]):
            assert re.search(pattern, sentence)
    assert code == (1 if expected["problems"] else 0)


def test_a_quick_look_imports_no_tensorflow():
    program = "import sys; from workload import cli; cli.main(['check', sys.argv[1], '--quick']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(CASES / "gzip-records")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = done.stdout.splitlines()[-1].split()
    assert "workload.check" in modules
    assert not {"tensorflow", "numpy"} & set(modules)


@pytest.fixture
def records(tmp_path):
    """A good set of two training shards and one to validate with, to be spoilt."""
    for path in (CASES / "shards-in-subfolders").rglob("*-of-*"):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path


def problems(path, *, evaluate=False, **expected):
    try:
        check.required(str(path), Expected("resnet50", evaluate=evaluate, **expected))
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("train-00001-of-00002", b"", "train-00001-of-00002 is empty"),
        ("train-00001-of-00002", b"<!DOCTYPE html><html>", "is no TFRecord file"),
        ("train-00001-of-00002", b"BZh91AY&SY", "is compressed with bzip2; make TFRecords of it"),
        ("train-00001-of-00002", b"PAR1....", "is a Parquet file"),
        ("train-00001-of-00002", b"\x1f\x8b\x08\x00cut short", "is no TFRecord file"),
        ("train-00001-of-00002", None, "1 files where the names promise 2; copy number 1 anew"),
        ("train-00001-of-00002", -9, "ends in the middle of a record"),
        ("train-00000-of-00001", b"", "2 sets of files for one split"),
    ],
)
def test_shards_that_cannot_be_read_are_named(records, name, content, problem):
    path = records / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content)
    assert re.search(problem, problems(records))
    assert cli.main(["check", str(records), "--quick"]) == 1


def test_a_label_beyond_the_classes_is_refused(records):
    assert problems(records, classes=2) == ""
    assert "the labels in the files go up to 2; add --classes 2" in problems(records, classes=1)


def test_spark_refuses_before_it_starts(workload):
    """Where the driver sees the data: with the code of a mistake in what was given, and without a Java process."""
    run = workload("--engine", "spark", "--data", CASES / "labels-from-zero", PATH="/nowhere")
    assert run.code == 2
    assert "the labels in the files are 0 to 1 and must be from 1" in run.error


def test_fewer_classes_than_the_model_has_are_told():
    path = str(CASES / "hidden-class-folder")
    assert f"{path} has 5 classes, and the model 9" in check.check(path, Expected(classes=9)).notes()
    assert len(check.check(path, Expected()).notes()) == 1


def test_every_file_of_a_large_set_is_in_the_sample(records, monkeypatch):
    monkeypatch.setattr(check, "SAMPLE", 2)
    verdict = check.required(str(records), Expected("resnet50"))
    assert verdict.splits["train"]["images"] == 2
    assert verdict.splits["train"]["sampled"]
    assert "train: 2 files" in verdict.found()


def test_a_validation_split_is_needed_to_evaluate_alone(records):
    (records / "validation-00000-of-00001").unlink()
    assert problems(records) == ""
    assert "has neither validation-00000-of-N files nor a folder validation/" in problems(records, evaluate=True)


def write(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


COMPANIONS = [
    ".ipynb_checkpoints/1.jpg", ".DS_Store", "a/._1.jpg", "a/Thumbs.db", "lost+found/1.jpg", "a/1.jpg~", "a/.1.jpg.swp",
    "a/#1.jpg#", "b/.ipynb_checkpoints/1.jpg", "__MACOSX/1.jpg", "a/1.jpg.bak", "@eaDir/1.jpg", "desktop.ini",
]  # fmt: skip


@pytest.mark.parametrize("name", COMPANIONS)
def test_hidden_and_companion_entries_count_nowhere(tmp_path, name):
    write(tmp_path / "train", "a/1.jpg", "b/1.jpg", "b/2.jpg", name)
    verdict = check.check(str(tmp_path), Expected())
    assert (verdict.classes, verdict.splits["train"]["images"]) == (2, 3)
    assert verdict.splits["train"]["labels"] == [0, 1]
    assert [path.replace(str(tmp_path), "") for path in verdict.skipped] != []
    assert verdict.notes()[-1].startswith("1 hidden or companion entry skipped: ")


def test_companions_of_shards_and_texts_are_skipped(tmp_path, records):
    write(records, "train-00000-of-00002~", "._train-00000-of-00002", ".train-00000-of-00002.crc")
    assert check.required(str(records), Expected()).notes() == [
        f"3 hidden or companion entries skipped: {tmp_path}/._train-00000-of-00002, "
        f"{tmp_path}/.train-00000-of-00002.crc, {tmp_path}/train-00000-of-00002~"
    ]


@pytest.mark.parametrize(
    ("names", "found", "problem"),
    [
        (["train/n01440764/1.JPEG", "train/n01443537/2.JPEG"], "train: 2 images, labels 0 to 1", None),
        (["n01440764/1.JPEG", "n01443537/2.JPEG"], "train: 2 images, labels 0 to 1", None),
        (["train/a/images/1.JPEG", "train/b/images/2.png"], "train: 2 images, labels 0 to 1", None),
        (["train/a/1.jpg", "train/a/1.webp"], "1 files of classes are none of .jpg, .jpeg, .png", None),
        (["train/a/1.jpg", "train/b/1.webp"], "has no image of b", None),
        (["train/a/1.jpg", "train/1.jpg"], "1 images outside class folders are not read", None),
        (["train/a/1.jpg", "val/a/2.jpg"], "validation: 1 images, labels 0 to 0", None),
        (["train/a/1.jpg", "val/a/2.jpg", "validation/a/1.jpg"], None, "has val, validation; leave one"),
        (["train/a/1.jpg", "val/b/2.jpg"], None, "class b is in .*val but not in the training split"),
        (["train/a/1.jpg", "val/2.jpg"], None, r"val has 1 images and no class folders; .* labels.txt, with a line"),
        (["train/a/1.jpg", "val/readme"], None, "no images .* in .*val/CLASS"),
        (["train/images/1.jpg"], None, "train has 1 images and no class folders"),
        (["train/a/1.jpg"], "has one class alone: a", None),
        (["train/1.jpg"], None, "train has 1 images and no class folders"),
        (["train/train/a/1.jpg", "train/train/b/1.jpg"], None, "no images .* in .*train/CLASS"),
        (["train/n01440764.tar", "train/n01443537.tar"], None, "no images .*; there is n01440764.tar, n01443537.tar"),
        (["Train/a/1.jpg", "Val/a/1.jpg"], None, "has neither .* it has Train, Val"),
        (["val/a/1.jpg"], None, "has neither train-00000-of-N files nor a folder train/"),
    ],
)
def test_layouts_of_images(tmp_path, names, found, problem):
    write(tmp_path, *names)
    verdict = check.check(str(tmp_path), Expected(evaluate=any("val" in name for name in names)))
    if problem:
        assert re.search(problem, "\n".join(verdict.problems))
    else:
        assert verdict.problems == []
        assert found in "; ".join([verdict.found(), *verdict.notes()])


@pytest.mark.parametrize(
    "name",
    [
        "train-00000-of-00001.tfrecord",
        "imagenet2012-train.tfrecord-00000-of-00001",
        "train.tfrecords",
        "train-0-of-1.gz",
    ],
)
def test_names_of_records(tmp_path, name):
    shutil.copy(CASES / "gzip-records" / "train-00000-of-00002", tmp_path / name)
    verdict = check.required(str(tmp_path), Expected("resnet50"))
    assert verdict.splits["train"]["images"] == 16


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("val/val_annotations.txt", "1.JPEG\tn02\t0\t0\t9\t9\r\n2.JPEG\tn01\t0\t0\t9\t9\r\n", None),
        ("val/labels.txt", "\ufeff1.JPEG n02\n2.JPEG n01\n", None),
        ("LOC_val_solution.csv", "ImageId,PredictionString\n1,n02 1 2 3 4\n2,n01 1 2 3 4 n01 5 6 7 8\n", None),
        ("validation_synset_labels.txt", "n02\nn01\n", None),
        ("val/labels.txt", "1.JPEG n02\n", "does not name the class of 2.JPEG"),
        ("val/labels.txt", "1.JPEG n02\n2.JPEG n03\n", "names classes that the training split lacks: n03"),
        ("val/labels.txt", "1.JPEG 1\n2.JPEG 0\n", "lacks: 0, 1; write the names of the class folders"),
        ("val/labels.txt", "", "does not name the class of 1.JPEG, 2.JPEG"),
    ],
)
def test_a_flat_validation_folder_with_a_list(tmp_path, name, content, problem):
    write(tmp_path, "train/n01/1.JPEG", "train/n02/1.JPEG", "val/1.JPEG", "val/2.JPEG")
    (tmp_path / name).write_text(content, newline="")
    verdict = check.check(str(tmp_path), Expected(evaluate=True))
    if problem:
        assert re.search(problem, "\n".join(verdict.problems))
        return
    assert verdict.problems == []
    assert [label for _, label in layouts.opened(str(tmp_path)).split("validation").labelled] == [1, 0]


@pytest.mark.parametrize(("labels", "problem"), [("1.JPEG\tn02\t0\t0\t9\t9\n", None), (None, "no class folders; move")])
def test_tiny_imagenets_validation_folder(tmp_path, labels, problem):
    write(tmp_path, "train/n01/images/1.JPEG", "train/n02/images/1.JPEG", "val/images/1.JPEG")
    if labels:
        (tmp_path / "val/val_annotations.txt").write_text(labels)
    split = layouts.opened(str(tmp_path)).splits["validation"]
    assert split.labelled == ([(str(tmp_path / "val/images/1.JPEG"), 1)] if labels else ())
    assert bool(split.problems) == bool(problem)
    assert problem is None or problem in split.problems[0]


def test_a_list_in_the_file_systems_own_bytes(tmp_path):
    for name in (b"train/caf\xe9/1.JPEG", b"train/b/1.JPEG", b"val/\xe9.JPEG", b"val/labels.txt"):
        path = os.path.join(bytes(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"\xef\xbb\xbf\xe9.JPEG\tcaf\xe9\r\n" if name.endswith(b"txt") else b"")
    ((_, label),) = layouts.opened(str(tmp_path)).split("validation").labelled
    assert label == 1


def test_names_that_are_not_utf_8_are_read_and_shown_escaped(tmp_path, capfd):
    for name in (b"caf\xe9", b"th\xe9"):
        folder = bytes(tmp_path) + b"/d\xe9/train/" + name
        subprocess.run(["mkdir", "-p", folder], check=True)
        shutil.copy(CASES / "odd-images/train/n1/0.JPEG", folder + b"/\xe9.JPEG")
    path = next(tmp_path.iterdir())
    assert cli.main(["check", str(path), "--quick"]) == 0
    verdict = json.loads(capfd.readouterr().out)
    assert verdict["path"].endswith("d\\xe9")
    assert verdict["splits"]["train"]["labels"] == [0, 1]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    case=st.sampled_from(["gzip-records", "zlib-records", "labels-from-zero"]),
    changes=st.lists(st.tuples(st.integers(0, 20000), st.integers(0, 255)), max_size=4),
    size=st.none() | st.integers(0, 20000),
)
def test_any_spoilt_records_have_a_verdict(tmp_path, case, changes, size):
    """Whatever is flipped in the file, or cut off: sentences, no traceback."""
    content = bytearray((CASES / case / "train-00000-of-00002").read_bytes())
    for place, value in changes:
        content[place] = value
    (tmp_path / "train-00000-of-00001").write_bytes(content[:size])
    verdict = check.check(str(tmp_path), Expected("resnet50"))
    assert all("train" in problem for problem in verdict.problems)
    assert datasets_count(tmp_path) is not None


def datasets_count(folder):
    """The number of records by their lengths, or the sentence that says why not."""
    try:
        return records_of.count(str(folder / "train-00000-of-00001"))
    except UsageError as error:
        return str(error)


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_any_part_of_an_example_is_read_or_refused(cut):
    """Its bytes in the order of a protocol buffer: a part may be an example of its own, else it is none."""
    record = next(iter(records_of.each(str(CASES / "labels-from-zero" / "train-00000-of-00002"))))
    assert records_of.example(record).label in (0, 1)
    with contextlib.suppress(ValueError):
        assert isinstance(records_of.example(record[cut:]).features, list)
    with contextlib.suppress(ValueError):
        assert isinstance(records_of.example(record[:cut]).features, list)
