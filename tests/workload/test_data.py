"""Reading images: every one once per epoch over all workers, the damaged ones counted, problems named."""

import contextlib
import json
import os
import re
import shutil

import numpy as np
import pytest

tensorflow = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
tf = tensorflow.compat.v1

from tests.support.cli import provisioner  # noqa: E402
from tests.workload import image_files  # noqa: E402
from tests.workload.support import ROOT, SMALL  # noqa: E402
from workload import cli, data, datasets, images, layouts  # noqa: E402
from workload.config import Config  # noqa: E402
from workload.errors import UsageError  # noqa: E402

CASES = ROOT / "tests" / "data" / "cases"


def made(folder, kind):
    """A data set of that kind with a training and a validation split; the number of training images."""
    if kind == "tfrecords":
        image_files.write_records(folder, "validation", 1, 5)
        return image_files.write_records(folder, "train", 4, 7)
    image_files.write_folder(folder, "validation", 3, 2)
    return image_files.write_folder(folder, "train", 3, 7)


def elements(dataset, count=None):
    """The first ``count`` elements, or all."""
    found = []
    with tf.Graph().as_default(), tf.Session() as session:
        following = tf.data.make_one_shot_iterator(dataset()).get_next()
        with contextlib.suppress(tf.errors.OutOfRangeError):
            while count is None or len(found) < count:
                found.append(session.run(following))
    return found


@pytest.mark.parametrize("kind", ["tfrecords", "folder"])
@pytest.mark.parametrize("workers", [1, 2, 3, 6])
@pytest.mark.parametrize("training", [True, False])
def test_every_image_comes_exactly_once_per_epoch_over_all_workers(tmp_path, kind, workers, training):
    """With fewer files than workers, too, and numbers that do not divide."""
    total = made(tmp_path, kind)
    source = layouts.opened(str(tmp_path))

    def share(rank, endless, count=None):
        shared = elements(lambda: datasets.share(source, "train", rank, workers, 1, endless), count)
        return [encoded for encoded, _ in shared]

    shares = [len(share(rank, False)) for rank in range(workers)]
    assert sum(shares) == datasets.count(source, "train") == total
    seen = [encoded for rank, size in enumerate(shares) for encoded in share(rank, training, size)]
    assert len(set(seen)) == len(seen) == total


def test_more_workers_than_images_is_refused_to_train_and_nothing_to_evaluate(tmp_path):
    image_files.write_folder(tmp_path, "train", 1, 2)
    source = layouts.opened(str(tmp_path))
    assert elements(lambda: datasets.share(source, "train", 2, 3, 1, False)) == []
    with pytest.raises(UsageError, match="2 images are too few for 3 workers"):
        datasets.share(source, "train", 2, 3, 1, True)


@pytest.mark.parametrize("kind", ["tfrecords", "folder"])
def test_training_goes_on_without_end_in_another_order(tmp_path, kind):
    total = made(tmp_path, kind)
    source = layouts.opened(str(tmp_path))
    found = [encoded for encoded, _ in elements(lambda: datasets.share(source, "train", 0, 1, 1, True), 2 * total)]
    assert set(found[:total]) == set(found[total:])
    assert found[:total] != found[total:]


def test_labels_start_at_zero(tmp_path):
    made(tmp_path, "tfrecords")
    source = layouts.opened(str(tmp_path))
    labels = [label for _, label in elements(lambda: datasets.share(source, "train", 0, 1, 1, False))]
    assert sorted(labels) == list(range(28))


def test_a_folders_labels_are_the_sorted_classes_of_the_training_split(tmp_path):
    made(tmp_path, "folder")
    source = layouts.opened(str(tmp_path))
    assert source.classes == ["c0", "c1", "c2"]
    found = {path.rsplit("/", 2)[1]: label for path, label in source.split("validation").labelled}
    assert found == {"c0": 0, "c1": 1, "c2": 2}
    (tmp_path / "validation" / "unknown").mkdir()
    with pytest.raises(UsageError, match=r"class unknown is in .* but not in the training split"):
        layouts.opened(str(tmp_path)).split("validation")


def decoded(training, crop, size=16):
    encoded = image_files.jpeg(1, size=64)
    with tf.Graph().as_default(), tf.Session() as session:
        image = images.decode(tf.constant(encoded), size, training, crop)
        return [session.run(image) for _ in range(2)]


def test_training_crops_at_random_and_evaluation_in_the_middle():
    one, other = decoded(training=True, crop=True)
    assert one.shape == (16, 16, 3)
    assert np.any(one != other)
    one, other = decoded(training=False, crop=True)
    np.testing.assert_array_equal(one, other)
    assert np.any(one != decoded(training=False, crop=False)[0])


@pytest.mark.parametrize(("training", "crop"), [(True, True), (False, True), (True, False)])
def test_a_png_is_as_good_as_a_jpeg_whatever_its_name_says(training, crop):
    """ImageNet itself has one."""
    pixels = np.full((64, 64, 3), 124, np.uint8)
    encoded = tensorflow.io.encode_png(pixels).numpy()
    with tf.Graph().as_default(), tf.Session() as session:
        image = session.run(images.decode(tf.constant(encoded), 16, training, crop))
    np.testing.assert_allclose(image, np.broadcast_to([0.0055, 0.126, 0.35], image.shape), atol=0.01)


def test_images_are_normalised():
    encoded = tensorflow.io.encode_jpeg(np.full((32, 32, 3), 124, np.uint8)).numpy()
    with tf.Graph().as_default(), tf.Session() as session:
        image = session.run(images.decode(tf.constant(encoded), 16, False))
    np.testing.assert_allclose(image.mean((0, 1)), [0.0055, 0.126, 0.35], atol=0.02)


def config(folder, **fields):
    return Config(data=str(folder), workers=1, image_size=16, batch_size=4, augment="none")._replace(**fields)


def batches(settings, count):
    """Run the training pipeline for that many batches; the number of images left out."""
    with tf.Graph().as_default(), tf.Session() as session:
        made = data.batch(settings, 0, training=True)
        session.run(made.initializer)
        for _ in range(count):
            found, labels, corrupt = session.run([made.inputs, made.labels, made.corrupt])
            assert found.shape == (4, 16, 16, 3)
            assert labels.shape == (4,)
            assert np.all(found.std((1, 2, 3)) > 0.1), "no blank image gets through"
    return corrupt


def spoil(folder, count):
    """Cut that many training images short."""
    for path in sorted((folder / "train").rglob("*.jpg"))[:count]:
        path.write_bytes(path.read_bytes()[:40])


def test_images_that_cannot_be_decoded_are_skipped_and_counted(tmp_path):
    made(tmp_path, "folder")
    assert batches(config(tmp_path), 4) == 0
    spoil(tmp_path, 3)
    # Two passes of 18 good and 3 spoilt images are 9 batches; spoilt ones after the last good one do not show yet.
    assert 3 <= batches(config(tmp_path), 9) <= 6


@pytest.mark.parametrize("case", ["gzip-records", "zlib-records", "shards-in-subfolders", "odd-images"])
def test_cases_are_read_as_they_are(case):
    assert batches(config(CASES / case, classes=2, augment="imagenet"), 9) == 0


def test_names_that_are_not_utf_8_are_read(tmp_path):
    inside = bytes(tmp_path) + b"/d\xe9/train/caf\xe9"
    os.makedirs(inside)
    for number in range(4):
        shutil.copy(CASES / "odd-images/train/n1" / f"{number}.JPEG", inside + b"/%d\xe9.JPEG" % number)
    assert batches(config(os.fsdecode(bytes(tmp_path) + b"/d\xe9")), 2) == 0


def test_a_label_that_the_sample_did_not_show_ends_the_run():
    """Beside the look before the first step, which takes no more than a sample of large data."""
    path = CASES / "labels-from-zero"
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        batches(config(path, classes=2), 9)
    assert data.explained(caught.value) == (
        f"a label in {path} is not from 1 to 2; python -m workload check {path} names them"
    )


@pytest.mark.parametrize(("spoilt", "limit"), [(3, 1), (1000, 100)])
def test_too_many_of_them_end_the_run(tmp_path, spoilt, limit):
    """Also when not one image is good: an error, not an endless search."""
    made(tmp_path, "folder")
    spoil(tmp_path, spoilt)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        batches(config(tmp_path, corrupt_limit=limit), 9)
    assert data.explained(caught.value) == (
        f"more than {limit} images in {tmp_path} cannot be decoded; python -m workload check {tmp_path} names them"
    )


def test_check_tells_what_is_there(tmp_path, capfd):
    made(tmp_path, "folder")
    assert cli.main(["check", str(tmp_path)]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["kind"] == "folder"
    train = {"images": 21, "files": 21, "sampled": False, "labels": [0, 2], "corrupt": 0, "examples": []}
    assert found["splits"]["train"] == train
    assert found["splits"]["validation"]["images"] == 6
    spoil(tmp_path, 2)
    assert cli.main(["check", str(tmp_path)]) == 1
    found = json.loads(capfd.readouterr().out)["splits"]["train"]
    assert found["corrupt"] == 2
    assert len(found["examples"]) == 2
    assert found["examples"][0]["image"] == str(tmp_path / "train" / "c0" / "0.jpg")
    assert "JPEG" in found["examples"][0]["reason"]


def test_a_flipped_bit_is_found_by_the_checksum(tmp_path, capfd):
    made(tmp_path, "tfrecords")
    path = tmp_path / "train-00001-of-00004"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    assert cli.main(["check", str(tmp_path)]) == 1
    (problem,) = json.loads(capfd.readouterr().out)["problems"]
    assert re.match(r".*train-00001-of-00004 is damaged; copy it anew", problem)


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("labels-from-zero", "the labels in the files are 0 to 1 and must be from 1"),
        ("hidden-class-folder", "has 5 classes; add --classes 5"),
        ("chinese", "SQuAD's JSON"),
    ],
)
def test_training_and_measuring_refuse_what_the_check_refuses(case, problem, workload):
    """Before anything is built, with the words of the check."""
    path = CASES / case
    run = workload(*SMALL, "--data", path, "--classes", 4, "--steps", 1)
    measured = provisioner("data", "measure", path, "--classes", 4)
    checked = provisioner("data", "check", path, "--classes", 4, "--model", "resnet14")
    assert (run.code, measured.code, checked.code) == (2, 2, 1), (run.stderr, measured.err, checked.err)
    assert problem in run.error
    assert problem in measured.err
    assert problem in checked.err
    assert "Traceback" not in run.stderr + measured.err + checked.err


def test_check_of_records(tmp_path, capfd):
    made(tmp_path, "tfrecords")
    assert cli.main(["check", str(tmp_path), "--limit", "9"]) == 0
    assert json.loads(capfd.readouterr().out)["splits"]["train"]["images"] == 9


def test_the_pipeline_alone_is_measured(tmp_path, capfd):
    made(tmp_path, "tfrecords")
    assert cli.main(["measure", str(tmp_path), "--batch-size", "4", "--image-size", "16", "--batches", "2"]) == 0
    assert json.loads(capfd.readouterr().out)["images_per_second"] > 0


def test_files_that_the_names_promise_must_be_there(tmp_path):
    made(tmp_path, "tfrecords")
    (tmp_path / "train-00002-of-00004").unlink()
    with pytest.raises(UsageError, match="3 files where the names promise 4"):
        datasets.count(layouts.opened(str(tmp_path)), "train")


def test_a_file_cut_short_is_found(tmp_path):
    made(tmp_path, "tfrecords")
    path = tmp_path / "train-00001-of-00004"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UsageError, match="train-00001-of-00004 ends in the middle of a record"):
        datasets.count(layouts.opened(str(tmp_path)), "train")


def test_an_empty_folder_is_no_data_set(tmp_path, capfd):
    with pytest.raises(
        UsageError, match=r"has neither train-00000-of-N files nor train/CLASS folders .* it has nothing"
    ):
        datasets.count(layouts.opened(str(tmp_path)), "train")
    assert cli.main(["check", str(tmp_path / "nothing")]) == 2
    assert "is no folder" in json.loads(capfd.readouterr().out)["message"]


def test_more_classes_than_the_model_has_are_refused(tmp_path, workload):
    made(tmp_path, "folder")
    run = workload(*SMALL, "--data", tmp_path, "--classes", 2, "--steps", 2)
    assert run.code == 2
    assert "has 3 classes; add --classes 3" in run.error


@pytest.mark.parametrize("kind", ["tfrecords", "folder"])
def test_training_and_evaluation_from_files(tmp_path, workload, kind):
    """Two epochs, each ending with an evaluation of the whole validation split."""
    made(tmp_path, kind)
    run = workload(*SMALL, "--data", tmp_path, "--classes", 28, "--epochs", 2, "--evaluate", "--warmup-steps", 0)
    evaluations = run.of("evaluation")
    assert [line["epoch"] for line in evaluations] == [1.0, 2.0], run.stderr[-1000:]
    assert {line["images"] for line in evaluations} == {5 if kind == "tfrecords" else 6}
    assert run.summary["steps"] == (6 if kind == "tfrecords" else 4)


def test_the_command_line_tells_people_what_is_there(tmp_path):
    made(tmp_path, "folder")
    done = provisioner("data", "check", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"{tmp_path}: a folder of images by class\n"
        "  train: 21 images, labels 0 to 2, 0 cannot be decoded\n"
        "  validation: 6 images, labels 0 to 2, 0 cannot be decoded\n"
    )
    spoil(tmp_path, 1)
    done = provisioner("data", "check", tmp_path, "--json")
    assert done.code == 1
    assert done.json["splits"]["train"]["corrupt"] == 1
    assert done.err == f"provisioner: 1 image in {tmp_path} cannot be decoded: replace them, or leave them out\n"
    assert provisioner("data", "measure", tmp_path, "--batches", 1, "--image-size", 16, "--json").json[
        "images_per_second"
    ]
    missing = provisioner("data", "check", tmp_path / "nothing")
    assert missing.code == 2
    assert "nothing is no folder" in missing.err
