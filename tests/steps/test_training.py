"""Training runs: their scripts, what is made of their lines, and when one counts as done."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from provisioner import steps
from provisioner.deployment import Deployment
from provisioner.errors import ConnectError, HostError, ProvisionerError
from provisioner.model import SampleSpec
from provisioner.ports import Completed
from provisioner.step import ABSENT, PRESENT, Presence
from provisioner.steps.training import LAUNCHER, TrainStep, WorkloadStep, workload_archive
from tests.support.deployments import Bench, spec, static_spec
from tests.support.hosts import FakeHost, cpus

SOURCE = {"git": "https://example.com/somebody/models.git", "ref": "v1", "path": "training/my net"}


def bench(tmp_path: Path, *names: str, **sections: Any) -> Bench:
    names = names or ("a",)
    made = Bench(static_spec(*names, **sections), *(FakeHost(n, tmp_path / n, cpus=cpus(cores=4)) for n in names))
    for name in names:
        made.deployment.facts(name)
    return made


def host(made: Bench) -> FakeHost:
    return made.connector.hosts["a"]


def summary(**changes: Any) -> str:
    found = {
        "event": "summary",
        "model": "resnet50",
        "mode": "train",
        "dtype": "float32",
        "engine": "spark",
        "workers": 2,
        "batch_size": 32,
        "images_per_second": 12.25,
        "steps": 20,
        "final_loss": 6.9,
        "host": {"cpu": "A processor", "isa": ["avx512_bf16"], "cores": 4},
        "versions": {"tensorflow": "2.21.0"},
    }
    return json.dumps({**found, **changes})


def interval(step: int, **more: Any) -> str:
    return json.dumps({"event": "interval", "step": step, **more})


def train(made: Bench, *lines: str, status: int = 0) -> TrainStep:
    """A float32 run that prints these lines."""
    host(made).answers = [("run-float32.sh", Completed(status, "".join(f"{line}\n" for line in lines)))]
    return TrainStep(made.deployment, "float32")


# ------------------------------------------------------------------------------------------------ scripts


def test_spark_engine(tmp_path: Path) -> None:
    """A barrier job over all workers of all hosts, the first host's settings, the workload beside it."""
    made = bench(tmp_path, "a", "b", spark={"workers": 2, "driver_memory": "2g", "executor_memory": "3g"})
    script = TrainStep(made.deployment, "bfloat16").script()
    work = f"{host(made).home}/provisioner/demo"
    assert (script.host, script.path, script.mode) == ("a", f"{work}/run-bfloat16.sh", 0o755)
    text = script.content.replace("\\\n", "")
    assert f"cd {work}\n" in text
    assert "export OMP_NUM_THREADS=2\n" in text
    assert text.splitlines()[-1] == (
        'exec "$SPARK_HOME"/bin/spark-submit --master spark://192.0.2.1:7077 '
        "--executor-cores 1 --total-executor-cores 4 --driver-memory 2g --executor-memory 3g "
        "--py-files workload.zip launch.py --engine spark --model resnet50 --mode train --dtype bfloat16 "
        "--data synthetic --batch-size 32 --steps 20 --warmup-steps 5 --workers 4"
    )


def test_settings_of_the_submission_are_quoted(tmp_path: Path) -> None:
    options = {"spark.executor.extraJavaOptions": "-XX:+A -XX:+B", "spark.network.timeout": "100"}
    made = bench(tmp_path, spark={"submit_settings": options})
    text = TrainStep(made.deployment, "float32").script().content
    assert "--conf 'spark.executor.extraJavaOptions=-XX:+A -XX:+B' --conf spark.network.timeout=100 \\\n" in text


def test_local_engine(tmp_path: Path) -> None:
    """One process with every core, straight from the archive, no Spark anywhere."""
    made = bench(tmp_path, workload={"engine": "local", "mode": "infer", "data": "/data/my images"})
    text = TrainStep(made.deployment, "float32").script().content
    assert "export PYTHONPATH=workload.zip\n" in text
    assert "export OMP_NUM_THREADS=4\n" in text
    assert text.splitlines()[-1] == (
        "exec python3 -m workload --engine local --model resnet50 --mode infer --dtype float32 "
        "--data '/data/my images' --batch-size 32 --steps 20 --warmup-steps 5 --workers 1"
    )
    assert "spark-submit" not in text
    assert [phase.name for phase in steps.plan(made.deployment).phases] == ["hosts", "data", "training"]


def test_tfpark_engine() -> None:
    """Analytics Zoo's image with the bundled workload."""
    deployment = Deployment(
        spec(
            provider="simulator",
            runtime="docker",
            image={"pull": "intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16"},
            cloud={"instance_types": ["ecs.hfc7.24xlarge"]},
            workload={"engine": "tfpark"},
        )
    )
    text = TrainStep(deployment, "bfloat16").script().content
    assert "\nSPARK_HOME=/opt/work/spark-2.4.3\n" in text
    assert "--engine tfpark " in text
    assert "--workers 8" in text


def test_somebody_elses_sample_has_their_command_line(tmp_path: Path) -> None:
    deployment = Deployment(
        spec(
            provider="simulator",
            runtime="docker",
            image={"build": "zoo-nightly", "container": "az1"},
            cloud={"instance_types": ["ecs.hfc7.24xlarge"]},
            workload={"engine": "tfpark", "source": SOURCE, "epochs": 3, "batch_size": 64, "data": "/my data"},
        )
    )
    float32 = TrainStep(deployment, "float32").script().content
    bfloat16 = TrainStep(deployment, "bfloat16").script().content
    assert "cd '/opt/work/models/training/my net' || exit 1\n" in float32
    assert "--batch_size 64" in float32
    assert "--train_epochs 3 --data_dir '/my data'\n" in float32
    assert bfloat16.replace("bfloat16", "float32", 1) == float32.rstrip("\n") + " --use_bfloat16\n"


@pytest.mark.parametrize(
    ("mode", "title"),
    [
        ("train", "Train ResNet-50 in float32: 2 workers, batch 32 each, engine spark"),
        ("infer", "Infer with ResNet-50 in float32: 2 workers, batch 32 each, engine spark"),
    ],
)
def test_titles(tmp_path: Path, mode: str, title: str) -> None:
    made = bench(tmp_path, workload={"mode": mode})
    step = TrainStep(made.deployment, "float32")
    assert step.describe().title == title
    assert step.name == f"{mode}/float32"


# ------------------------------------------------------------------------------------------------ lines


def test_lines_become_progress_and_the_summary_is_kept(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = train(
        made,
        "26/11/23 WARN NativeCodeLoader: not ours",
        json.dumps(
            {
                "event": "start",
                "mode": "train",
                "global_batch_size": 96,
                "learning_rate": 0.0375,
                "worker_hosts": ["10.0.0.1", "10.0.0.1", "10.0.0.2"],
                "warnings": ["oneDNN has no bfloat16 here"],
            }
        ),
        interval(5, loss=6.94, images_per_second=12.34),
        interval(10, loss=None, images_per_second=12.5),
        interval(12, loss=6.5),
        json.dumps({"event": "evaluation", "epoch": 1.0, "images": 500, "top_1": 0.75, "top_5": 0.9}),
        '{"event": "not one of ours"}',
        summary(),
    )
    step.apply()
    assert made.told == [
        "float32: global batch 96; peak learning rate 0.0375; workers 0, 1 on 10.0.0.1; worker 2 on 10.0.0.2",
        "oneDNN has no bfloat16 here",
        "float32: step 5, loss 6.940, 12.3 images/s",
        "float32: step 10, loss is not a number, 12.5 images/s",
        "float32: step 12, loss 6.500",
        "float32: 500 images evaluated after epoch 1: top-1 75.00%, top-5 90.00%",
        "float32: 12.2 images/s",
    ]
    (kept,) = made.store.get("results")
    assert kept["images_per_second"] == 12.25
    (line,) = (made.store.folder / "results/measurements.jsonl").read_text().splitlines()
    assert json.loads(line) == json.loads(summary())
    log = (made.store.folder / "logs/train-float32-1.log").read_text()
    assert "not ours" in log
    assert len(log.splitlines()) == 8


def test_an_error_line_becomes_the_message(tmp_path: Path) -> None:
    made = bench(tmp_path)
    said = json.dumps({"event": "error", "message": "the folder /data holds no TFRecords"})
    step = train(made, "Traceback", said, "spark-submit ends", status=1)
    with pytest.raises(HostError, match="train/float32 failed on a: the folder /data holds no TFRecords") as caught:
        step.apply()
    assert caught.value.host == "a"
    assert caught.value.tail == ("Traceback", said, "spark-submit ends")
    assert "logs/train-float32-1.log" in caught.value.remedy
    assert made.store.get("results", []) == []


def test_without_an_error_line_the_command_says_what_happened(tmp_path: Path) -> None:
    made = bench(tmp_path)
    with pytest.raises(HostError, match="train/float32 failed on a: a: it ended with 137") as caught:
        train(made, "Killed", status=137).apply()
    assert caught.value.tail == ("Killed",)


def test_an_end_without_a_summary_is_a_failure(tmp_path: Path) -> None:
    made = bench(tmp_path)
    with pytest.raises(HostError, match="ended without a summary line") as caught:
        train(made, interval(5, loss=1.0)).apply()
    assert "train-float32-1.log" in caught.value.remedy
    assert made.store.get("results", []) == []


def test_a_summary_that_makes_no_sense_is_not_kept(tmp_path: Path) -> None:
    made = bench(tmp_path)
    with pytest.raises(ProvisionerError, match="images_per_second"):
        train(made, summary(images_per_second=-1)).apply()
    assert made.store.get("results", []) == []


def test_a_loss_that_is_no_number_is_kept_as_null(tmp_path: Path) -> None:
    made = bench(tmp_path)
    train(made, summary(final_loss=None)).apply()
    assert made.store.get("results")[0]["final_loss"] is None


def test_what_the_figures_depend_on_is_kept_beside_them(tmp_path: Path) -> None:
    made = bench(tmp_path, "a", "b", spark={"workers": 2})
    train(made, summary()).apply()
    found = made.store.get("results")[0]["environment"]
    assert found["workload"] == hashlib.sha256(workload_archive()).hexdigest()[:16]
    assert (found["settings"]["steps"], found["settings"]["batch_size"]) == (20, 32)
    assert [one["worker_cpus"] for one in found["hosts"]] == [["0-1", "2-3"]] * 2
    assert (found["hosts"][0]["cores"], found["hosts"][0]["numa_nodes"]) == (4, 1)
    assert "program" in found


def test_inference_has_no_loss_and_tells_its_latency(tmp_path: Path) -> None:
    made = bench(tmp_path, workload={"mode": "infer"})
    latency = {"p50": 16.6, "p90": 17.2, "p99": 22.5}
    lines = [
        interval(5, loss=None, images_per_second=80.0),
        summary(mode="infer", latency_ms=latency, memory_mib=2100.4),
    ]
    train(made, *lines).apply()
    assert made.told == [
        "float32: step 5, 80.0 images/s",
        "float32: 12.2 images/s; latency at batch size 1 p50 16.6 ms, p90 17.2 ms, p99 22.5 ms; "
        "2100 MiB of memory at most in a worker",
    ]
    assert made.store.get("results")[0]["latency_ms"] == latency


# ------------------------------------------------------------------------------------------------ done or not


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = train(made, summary())
    assert step.check() == ABSENT
    step.apply()
    again = made.again()
    finding = TrainStep(again.deployment, "float32").check()
    assert finding.presence is Presence.PRESENT
    assert finding.detail == "12.2 images/s"


@pytest.mark.parametrize(
    "changes",
    [{"workload": {"steps": 21}}, {"workload": {"batch_size": 64}}, {"spark": {"workers": 1}}],
    ids=["steps", "batch size", "workers"],
)
def test_another_run_is_another_measurement(tmp_path: Path, changes: dict[str, Any]) -> None:
    made = bench(tmp_path)
    train(made, summary()).apply()
    assert TrainStep(made.again(**changes).deployment, "float32").check() == ABSENT
    assert TrainStep(made.deployment, "bfloat16").check() == ABSENT


def test_again_measures_anew_and_once(tmp_path: Path) -> None:
    """`provisioner run`: what is known does not count, until this run has measured."""
    made = bench(tmp_path)
    train(made, summary()).apply()
    phase = steps.training(made.deployment, again=True)
    (step,) = [each for each in phase.steps if each.name == "train/float32"]
    assert step.check() == ABSENT
    host(made).answers = [("run-float32.sh", summary(images_per_second=20.0))]
    step.apply()
    assert step.check().detail == "20.0 images/s"
    assert [kept["images_per_second"] for kept in made.store.get("results")] == [12.25, 20.0]
    assert [kept["run"] for kept in made.store.get("results")] == ["train-float32-1", "train-float32-2"]
    for number, speed in ((1, 12.25), (2, 20.0)):
        (line,) = (made.store.folder / f"logs/train-float32-{number}.log").read_text().splitlines()
        assert json.loads(line)["images_per_second"] == speed, "each run has a log of its own"


def test_a_run_whose_line_was_cut_is_repeated(tmp_path: Path) -> None:
    """What it would have measured was not heard."""
    made = bench(tmp_path)
    answers = iter([ConnectError("cut"), summary()])
    host(made).answers = [("run-float32.sh", lambda command: next(answers))]
    made.runner(TrainStep(made.deployment, "float32")).up()
    assert len(made.store.get("results")) == 1


# ------------------------------------------------------------------------------------------------ the code


def test_the_archive_is_the_same_every_time_and_holds_the_package() -> None:
    first, second = workload_archive(), workload_archive()
    assert first == second
    with zipfile.ZipFile(BytesIO(first)) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {"workload/__init__.py", "workload/cli.py", "workload/engines/spark.py"} <= set(names)
        assert all(name.endswith(".py") for name in names)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_archive_runs_from_where_it_is(tmp_path: Path) -> None:
    """As run-local.sh starts it; --help needs no TensorFlow."""
    (tmp_path / "workload.zip").write_bytes(workload_archive())
    (tmp_path / "launch.py").write_text(LAUNCHER)
    for command in (["-m", "workload", "--help"], ["launch.py", "--help"]):
        done = subprocess.run(
            ["python3", *command],
            cwd=tmp_path,
            env={"PYTHONPATH": "workload.zip", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "--dtype" in done.stderr  # stdout is for JSON lines


def test_without_spark_down_removes_the_folder_too(tmp_path: Path) -> None:
    """There is no other step that would."""
    made = bench(tmp_path, workload={"engine": "local"})
    step = WorkloadStep(made.deployment)
    step.apply()
    made.runner(*steps.plan(made.deployment).phases).down()
    assert not (host(made).home / "provisioner").exists()


def test_the_code_is_uploaded_once_and_again_when_it_differs(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = WorkloadStep(made.deployment)
    assert step.check() == ABSENT
    step.apply()
    assert step.check() == PRESENT
    archive = host(made).home / "provisioner/demo/workload.zip"
    assert archive.read_bytes() == workload_archive()
    archive.write_bytes(b"an older version")
    assert step.check() == ABSENT


@pytest.fixture(name="repository")
def _repository(tmp_path: Path) -> Path:
    """A git repository with a tag and a later commit."""
    folder = tmp_path / "models"
    folder.mkdir()
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (
        ["init", "-q"],
        [*who, "commit", "-q", "--allow-empty", "-m", "one"],
        ["branch", "side"],
        [*who, "tag", "-a", "v1", "-m", "annotated"],
        [*who, "commit", "-q", "--allow-empty", "-m", "two"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True, timeout=60, env={"PATH": "/usr/bin:/bin"})
    return folder


@pytest.mark.parametrize("ref", ["v1", "side"])
def test_a_repository_is_cloned_at_its_ref(tmp_path: Path, repository: Path, ref: str) -> None:
    """A tag, or a branch like the paper's."""
    made = bench(tmp_path)
    source = SampleSpec(git=str(repository), ref=ref, path="training")
    workload = made.spec.workload.model_copy(update={"source": source})
    made.deployment.spec = made.spec.model_copy(update={"workload": workload})
    step = WorkloadStep(made.deployment)
    assert step.describe().title == f"git clone {repository} && git checkout {ref}"
    assert step.check() == ABSENT
    step.apply()
    assert step.check() == PRESENT
    clone = host(made).home / "provisioner/models"
    subprocess.run(["git", "checkout", "-q", "--detach", "origin/HEAD"], cwd=clone, check=True, timeout=60)
    assert step.check() == ABSENT
    step.apply()
    assert step.check() == PRESENT
