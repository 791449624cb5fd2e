"""Training runs: their scripts, what is made of their lines, and when one counts as done."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from provisioner import catalog, steps
from provisioner.adapters.local import LocalConnection
from provisioner.deployment import Deployment, Session
from provisioner.errors import CommandError, ConnectError, HostError, ProvisionerError, UsageError
from provisioner.inventory.spec import SampleSpec
from provisioner.reporting.events import measurement
from provisioner.step import ABSENT, PRESENT, Presence
from provisioner.steps import watch
from provisioner.steps.training import TrainStep
from provisioner.steps.workload import LAUNCHER, WorkloadStep, workload_archive
from tests.support import sample
from tests.support.deployments import Bench, spec, static_spec, train_step
from tests.support.hosts import FakeHost, cpus

SOURCE = {"git": "https://example.com/somebody/models.git", "ref": "v1", "path": "training/my net"}


def bench(tmp_path: Path, *names: str, **sections: Any) -> Bench:
    names = names or ("a",)
    made = Bench(static_spec(*names, **sections), *(FakeHost(n, tmp_path / n, cpus=cpus(cores=4)) for n in names))
    for name in names:
        made.session.host(name).facts()
    return made


def on_host(made: Bench, **workload: Any) -> Bench:
    """With this workload without Docker, even where an inventory has to say docker."""
    changed = made.spec.workload.model_copy(update=workload)
    made.open(made.spec.model_copy(update={"workload": changed}))
    for each in made.session.hosts:
        each.facts()
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


def printing(*lines: str, status: int = 0) -> str:
    """A script that prints these lines."""
    return "".join(f"echo {shlex.quote(line)}\n" for line in lines) + f"exit {status}\n"


def train(made: Bench, *lines: str, status: int = 0) -> TrainStep:
    """A float32 run that prints these lines."""
    host(made).scripts = [("run-float32.sh", printing(*lines, status=status))]
    return train_step(made.session, "float32")


# ------------------------------------------------------------------------------------------------ scripts


def test_spark_engine(tmp_path: Path) -> None:
    """A barrier job over all workers of all hosts, the first host's settings, the workload beside it."""
    made = bench(tmp_path, "a", "b", spark={"workers": 2, "driver_memory": "2g", "executor_memory": "3g"})
    script = train_step(made.session, "bfloat16").script.file()
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
    text = train_step(made.session, "float32").script.file().content
    assert "--conf 'spark.executor.extraJavaOptions=-XX:+A -XX:+B' --conf spark.network.timeout=100 \\\n" in text


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        ({}, "--data synthetic --batch-size 32 --steps 20 --warmup-steps 5 --workers 4"),
        ({"workers": 3}, "--data synthetic --batch-size 32 --steps 20 --warmup-steps 5 --workers 3"),
        (
            {"data": "/d", "epochs": 9, "evaluate": True},
            "--data /d --batch-size 32 --epochs 9 --warmup-steps 5 --workers 4 --evaluate",
        ),
        (
            {"model_dir": "/models/", "export_dir": "/saved", "resume": True},
            "--data synthetic --batch-size 32 --steps 20 --warmup-steps 5 --workers 4 --model-dir "
            "/models/resnet50-float32 --export-dir /saved/resnet50-float32 --resume",
        ),
        (
            {"augment": "none", "classes": 10, "image_size": 32, "optimizer": "lars", "learning_rate": 0.5}
            | {"label_smoothing": 0.0, "seed": 0},
            "--data synthetic --batch-size 32 --steps 20 --warmup-steps 5 --workers 4 --augment none --classes 10 "
            "--image-size 32 --optimizer lars --learning-rate 0.5 --label-smoothing 0.0 --seed 0",
        ),
        (
            {"sequence_length": 384},
            "--data synthetic --batch-size 32 --steps 20 --warmup-steps 5 --workers 4 --sequence-length 384",
        ),
    ],
    ids=["defaults", "fewer workers", "to accuracy", "from its checkpoint", "everything else", "texts"],
)
def test_the_inventorys_settings_reach_the_workload(tmp_path: Path, workload: dict[str, Any], words: str) -> None:
    made = bench(tmp_path, workload=workload, spark={"workers": 4})
    text = train_step(made.session, "float32").script.file().content
    assert text.rstrip().endswith(f"--dtype float32 {words}")


def test_more_workers_than_there_are_is_refused(tmp_path: Path) -> None:
    made = bench(tmp_path, workload={"workers": 5}, spark={"workers": 4})
    with pytest.raises(UsageError, match="5 workers asked for, and the cluster has 4"):
        train_step(made.session, "float32").script.file()


def test_local_engine(tmp_path: Path) -> None:
    """One process with every core, straight from the archive, no Spark anywhere."""
    made = bench(tmp_path, workload={"engine": "local", "mode": "infer", "data": "/data/my images"})
    text = train_step(made.session, "float32").script.file().content
    assert "export PYTHONPATH=workload.zip\n" in text
    assert "export OMP_NUM_THREADS=4\n" in text
    assert text.splitlines()[-1] == (
        "exec python3 -m workload --engine local --model resnet50 --mode infer --dtype float32 "
        "--data '/data/my images' --batch-size 32 --steps 20 --warmup-steps 5 --workers 1"
    )
    assert "spark-submit" not in text
    assert [phase.name for phase in steps.plan(made.session).phases] == ["hosts", "workload", "data", "training"]


def test_tfpark_engine() -> None:
    """Analytics Zoo's image with the bundled workload."""
    session = Session(
        spec(
            provider="simulator",
            runtime="docker",
            image={"pull": "intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16"},
            cloud={"instance_types": ["ecs.hfc7.24xlarge"]},
            workload={"engine": "tfpark"},
        )
    )
    text = train_step(session, "bfloat16").script.file().content
    assert "\nSPARK_HOME=/opt/work/spark-2.4.3\n" in text
    assert "--engine tfpark " in text
    assert "--workers 8" in text


@pytest.mark.parametrize(("engine", "memory"), [("spark", "1g"), ("tfpark", "4g")])
def test_memory_is_what_the_engine_needs(tmp_path: Path, engine: str, memory: str) -> None:
    """BigDL holds the weights on the Java heap, several times over."""
    text = train_step(on_host(bench(tmp_path), engine=engine).session, "float32").script.file().content
    assert f"--driver-memory {memory} --executor-memory {memory} " in text


def test_somebody_elses_sample_has_their_command_line(tmp_path: Path) -> None:
    session = Session(
        spec(
            provider="simulator",
            runtime="docker",
            image={"build": "zoo-nightly", "container": "az1"},
            cloud={"instance_types": ["ecs.hfc7.24xlarge"]},
            workload={"engine": "tfpark", "source": SOURCE, "epochs": 3, "batch_size": 64, "data": "/my data"},
        )
    )
    float32 = train_step(session, "float32").script.file().content
    bfloat16 = train_step(session, "bfloat16").script.file().content
    assert "cd '/opt/work/models/training/my net' || exit 1\n" in float32
    assert "--batch_size 64" in float32
    assert "--train_epochs 3 --data_dir '/my data'\n" in float32
    assert bfloat16.replace("bfloat16", "float32", 1) == float32.rstrip("\n") + " --use_bfloat16\n"
    # Analytics Zoo's script names settings of its own; the last ones count, and the cluster asks for a secret.
    assert "--properties-file /opt/work/spark-2.4.3/conf/spark-defaults.conf \\\nimagenet_main.py" in float32


SAMPLE = """
import sys
print("INFO  TaskSetManager:54 - not ours", file=sys.stderr)
speed = 4 if "--use_bfloat16" in sys.argv else 2
for i in range(1, 8):
    seconds = 10.0 if i == 1 else 8 / speed
    print(f"INFO  DistriOptimizer$:408 - [Epoch 1 {8 * i}/64][Iteration {i}][Wall Clock 9.5s] Trained 8.0 records in "
          f"{seconds} seconds. Throughput is {8 / seconds} records/second. Loss is {7 - i / 10}. ", file=sys.stderr)
    sys.stderr.flush()
open("logs", "x").close()
sys.exit(%d)
"""
SUBMIT = """
while [ "${1%.py}" = "$1" ]; do shift; done
exec python3 "$@"
"""


@pytest.fixture(name="sampled")
def _sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """A host with a stand-in for Analytics Zoo's script, which starts the sample's program alone, and a clone of it."""
    zoo = tmp_path / "zoo"
    (zoo / "bin").mkdir(parents=True)
    (zoo / "bin/spark-submit-python-with-zoo.sh").write_text(SUBMIT)
    image = replace(catalog.container_image("zoo-release"), zoo_home=str(zoo))  # type: ignore[type-var]
    monkeypatch.setattr(Deployment, "container_image", image)

    def make(status: int = 0, **workload: Any) -> Bench:
        repository = sample.make(tmp_path / "git", SAMPLE % status)
        source = SampleSpec(git=str(repository), ref=sample.BRANCH, path=sample.PATH)
        options = {"engine": "tfpark", "source": source, "warmup_steps": 1, "batch_size": 4, **workload}
        made = on_host(bench(tmp_path, spark={"workers": 2}), **options)
        WorkloadStep(made.session.hosts[0]).apply()
        return made

    return make


def test_both_legs_of_the_sample_are_measured(sampled: Callable[..., Bench]) -> None:
    """Its own run.sh asks for bfloat16, the float32 leg does not. Speed and loss are what BigDL logs."""
    made = sampled()
    assert "--use_bfloat16" in (sample.DATA / "run.sh").read_text()
    for dtype, speed in (("float32", 2.0), ("bfloat16", 4.0)):
        step = train_step(made.session, dtype)  # type: ignore[arg-type]
        assert step.check() == ABSENT
        step.apply()
        assert step.check().presence is Presence.PRESENT
        kept = made.store.state.results[-1]
        wanted = {"model": "resnet50", "mode": "train", "dtype": dtype, "engine": "tfpark", "workers": 2, "steps": 7}
        assert wanted.items() <= kept.items()
        assert (kept["images_per_second"], kept["final_loss"], kept["batch_size"]) == (speed, 6.3, 4)
        assert kept["host"] == {"cpu": "A processor", "isa": ["avx512_bf16", "amx_bf16"], "cores": 4}
        assert kept["versions"] == {"models-1": sample.BRANCH}
        assert measurement(kept).images_per_second == speed
    assert made.told == [
        "float32: step 5, loss 6.500, 1.5 images/s",
        "float32: 2.0 images/s",
        "bfloat16: step 5, loss 6.500, 2.2 images/s",
        "bfloat16: 4.0 images/s",
    ]
    assert "not ours" in (made.store.folder / "logs/train-float32-1.log").read_text()
    code = host(made).home / "provisioner/models-1" / sample.PATH
    assert len(list(code.glob("logs-*"))) == 1  # the first leg's checkpoint, out of the second one's way


def test_a_sample_that_fails_is_not_measured(sampled: Callable[..., Bench]) -> None:
    made = sampled(status=3)
    with pytest.raises(HostError, match="train/float32 failed on a") as caught:
        train_step(made.session, "float32").apply()
    assert "Iteration 7" in caught.value.tail[-1]
    assert made.store.state.results == ()


def test_a_sample_too_short_to_measure_says_so(sampled: Callable[..., Bench]) -> None:
    made = sampled(warmup_steps=7)
    with pytest.raises(HostError, match="logged 7 iterations, and the first 7 are warm-up") as caught:
        train_step(made.session, "float32").apply()
    assert "workload.warmup_steps" in caught.value.remedy
    assert made.store.state.results == ()


@pytest.mark.parametrize(
    ("mode", "title"),
    [
        ("train", "Train ResNet-50 in float32: 2 workers, batch 32 each, engine spark"),
        ("infer", "Infer with ResNet-50 in float32: 2 workers, batch 32 each, engine spark"),
    ],
)
def test_titles(tmp_path: Path, mode: str, title: str) -> None:
    made = bench(tmp_path, workload={"mode": mode})
    step = train_step(made.session, "float32")
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
    (kept,) = made.store.state.results
    assert kept["images_per_second"] == 12.25
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
    assert made.store.state.results == ()


def test_without_an_error_line_the_command_says_what_happened(tmp_path: Path) -> None:
    made = bench(tmp_path)
    with pytest.raises(HostError, match="train/float32 failed on a: it ended with status 137") as caught:
        train(made, "Killed", status=137).apply()
    assert caught.value.tail == ("Killed",)


def test_an_end_without_a_summary_is_a_failure(tmp_path: Path) -> None:
    made = bench(tmp_path)
    with pytest.raises(HostError, match="ended without a summary line") as caught:
        train(made, interval(5, loss=1.0)).apply()
    assert "train-float32-1.log" in caught.value.remedy
    assert made.store.state.results == ()


def test_a_summary_that_makes_no_sense_is_not_kept(tmp_path: Path) -> None:
    made = bench(tmp_path)
    with pytest.raises(ProvisionerError, match="images_per_second"):
        train(made, summary(images_per_second=-1)).apply()
    assert made.store.state.results == ()


def test_a_loss_that_is_no_number_is_kept_as_null(tmp_path: Path) -> None:
    made = bench(tmp_path)
    train(made, summary(final_loss=None)).apply()
    assert made.store.state.results[0]["final_loss"] is None


def test_bert_is_named_and_counts_sequences(tmp_path: Path) -> None:
    made = bench(tmp_path, workload={"model": "bert-base"})
    step = train(made, interval(5, loss=1.0, images_per_second=4.7), summary(model="bert-base"))
    assert step.describe().title == "Train BERT-base in float32: 2 workers, batch 32 each, engine spark"
    assert "--model bert-base " in step.script.file().content
    step.apply()
    assert made.told == ["float32: step 5, loss 1.000, 4.7 sequences/s", "float32: 12.2 sequences/s"]
    assert step.check().detail == "12.2 sequences/s"


def test_what_the_figures_depend_on_is_kept_beside_them(tmp_path: Path) -> None:
    made = bench(tmp_path, "a", "b", spark={"workers": 2})
    train(made, summary()).apply()
    found = made.store.state.results[0]["environment"]
    assert found["workload"] == hashlib.sha256(workload_archive()).hexdigest()[:16]
    assert (found["settings"]["steps"], found["settings"]["batch_size"]) == (20, 32)
    assert [one["worker_cpus"] for one in found["hosts"]] == [["0-1", "2-3"]] * 2
    assert (found["hosts"][0]["cores"], found["hosts"][0]["numa_nodes"]) == (4, 1)
    assert "program" in found


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": 2}, {"TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": "2"}),
        ("nonsense", {}),
        (None, {}),
    ],
    ids=repr,
)
def test_the_variables_in_force_are_part_of_the_environment(tmp_path: Path, told: object, kept: object) -> None:
    """As a worker told of them, which is what counted, whoever set them; a host's lines may hold anything."""
    made = bench(tmp_path)
    train(made, summary(variables=told)).apply()
    (result,) = made.store.state.results
    assert result["environment"]["variables"] == kept
    assert "variables" not in result


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
    assert made.store.state.results[0]["latency_ms"] == latency


# ------------------------------------------------------------------------------------------------ done or not


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = train(made, summary())
    assert step.check() == ABSENT
    step.apply()
    again = made.again()
    finding = train_step(again.session, "float32").check()
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
    assert train_step(made.again(**changes).session, "float32").check() == ABSENT
    assert train_step(made.session, "bfloat16").check() == ABSENT


def test_again_measures_anew_and_once(tmp_path: Path) -> None:
    """`provisioner run`: what is known does not count, until this run has measured."""
    made = bench(tmp_path)
    train(made, summary()).apply()
    phase = steps.training(made.session, again=True)
    (step,) = [each for each in phase.steps if each.name == "train/float32"]
    assert step.check() == ABSENT
    host(made).scripts = [("run-float32.sh", printing(summary(images_per_second=20.0)))]
    step.apply()
    assert step.check().detail == "20.0 images/s"
    assert [kept["images_per_second"] for kept in made.store.state.results] == [12.25, 20.0]
    assert [kept["run"] for kept in made.store.state.results] == ["train-float32-1", "train-float32-2"]
    for number, speed in ((1, 12.25), (2, 20.0)):
        (line,) = (made.store.folder / f"logs/train-float32-{number}.log").read_text().splitlines()
        assert json.loads(line)["images_per_second"] == speed, "each run has a log of its own"


def test_a_run_whose_line_was_cut_is_followed_again_and_not_started_again(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = train(made, interval(5, images_per_second=1.0), summary())
    cut = [ConnectError("cut")]
    follow = LocalConnection.run

    def once_cut(command: str) -> Any:
        return cut.pop() if cut else follow(host(made), command)

    host(made).answers = [("^tail -n .1", once_cut)]
    made.runner(step).up()
    (kept,) = made.store.state.results
    assert kept["run"] == "train-float32-1"
    assert [path.name for path in (made.store.folder / "logs").glob("train-*")] == ["train-float32-1.log"]
    assert sum("setsid" in command for command in host(made).commands) == 1


# ------------------------------------------------------------------------------------------------ in the background


def lasting(made: Bench, *lines: str, dtype: str = "float32") -> Path:
    """A run that prints its lines and waits, after the first, for the file that is returned."""
    gate = host(made).home / "go on"
    body = printing(*lines[:1]).replace("exit 0\n", "")
    wait = f"while [ ! -e {shlex.quote(str(gate))} ]; do sleep 0.05; done\n"
    host(made).scripts = [(f"run-{dtype}.sh", f"echo started >> started\n{body}{wait}{printing(*lines[1:])}")]
    return gate


def abandoned(made: Bench, step: TrainStep) -> None:
    """The client goes while the training is under way."""

    def gone(command: str) -> Any:
        raise ConnectError("the client is gone")

    host(made).answers = [("^tail -n .1", gone)]
    with pytest.raises(ConnectError):
        step.apply()
    host(made).answers = []


def test_a_training_that_runs_is_found_again_and_not_doubled(tmp_path: Path) -> None:
    """Whatever ended the client; each line is heard once, from the first one on."""
    made = bench(tmp_path)
    gate = lasting(made, interval(5, images_per_second=1.0), interval(10, images_per_second=2.0), summary())
    for _ in range(3):
        abandoned(made, train_step(made.session, "float32"))
    gate.touch()
    train_step(made.session, "float32").apply()
    assert (host(made).home / "started").read_text() == "started\n", "\n".join([*made.told, *host(made).commands])
    (kept,) = made.store.state.results
    lines = (made.store.folder / f"logs/{kept['run']}.log").read_text().splitlines()
    assert lines == [interval(5, images_per_second=1.0), interval(10, images_per_second=2.0), summary()]
    assert made.told[0] == "float32: train-float32-1 goes on on a; nothing is started beside it"
    assert not (host(made).home / "provisioner/demo/training").exists()


def test_a_training_that_ended_alone_is_collected(tmp_path: Path) -> None:
    made = bench(tmp_path)
    lasting(made, summary()).touch()
    abandoned(made, train_step(made.session, "float32"))
    status = host(made).home / "provisioner/demo/training/status"
    until(lambda: status.exists() and status.read_text())
    train_step(made.session, "float32").apply()
    assert (host(made).home / "started").read_text() == "started\n", "\n".join([*made.told, *host(made).commands])
    assert [kept["run"] for kept in made.store.state.results] == ["train-float32-1"]


@pytest.mark.parametrize("ending", ["failed", "killed"])
def test_a_training_that_failed_alone_is_tried_again(tmp_path: Path, ending: str) -> None:
    made = bench(tmp_path)
    if ending == "failed":
        train(made, "no", status=3)
        abandoned(made, train_step(made.session, "float32"))
        status = host(made).home / "provisioner/demo/training/status"
        until(lambda: status.exists() and status.read_text())
    else:
        lasting(made, "one", "two")
        abandoned(made, train_step(made.session, "float32"))
        pid = int((host(made).home / "provisioner/demo/training/pid").read_text())
        os.killpg(pid, signal.SIGKILL)
    train(made, summary()).apply()
    assert [kept["run"] for kept in made.store.state.results] == ["train-float32-2"]


def test_nothing_is_measured_beside_another_training(tmp_path: Path) -> None:
    """What ends the other one can be copied into a shell, whatever the host calls its home."""
    made = bench(tmp_path / "it's $(touch X)")
    lasting(made, summary())
    abandoned(made, train_step(made.session, "float32"))
    with pytest.raises(HostError, match="train-float32-1 is still running on a, with other settings") as caught:
        train_step(made.session, "bfloat16").apply()
    folder = host(made).home / "provisioner/demo/training"
    command = caught.value.remedy.split("`")[-2]
    assert shlex.split(command) == [
        *("provisioner", "exec", "demo", "--"),
        f"kill -- -$(cat {shlex.quote(str(folder))}/pid)",
    ]
    WorkloadStep(made.session.hosts[0]).undo()
    assert not folder.exists()
    train(made, summary()).apply()
    assert len(made.store.state.results) == 1


def test_down_ends_the_training_with_all_that_it_started(tmp_path: Path) -> None:
    made = bench(tmp_path)
    child = host(made).home / "child"
    host(made).scripts = [("run-float32.sh", f"sleep 600 & echo $! > {child}\nwait\n")]
    abandoned(made, train_step(made.session, "float32"))
    until(lambda: child.exists() and child.read_text().strip())
    WorkloadStep(made.session.hosts[0]).undo()
    command_line = Path(f"/proc/{child.read_text().strip()}/cmdline")
    until(lambda: not command_line.exists() or not command_line.read_bytes())  # a zombie has none


@pytest.mark.parametrize(
    ("workload", "advice"),
    [({}, "`provisioner run demo` starts it again"), ({"model_dir": "/models"}, "`provisioner run demo --resume`")],
)
@pytest.mark.parametrize("name", ["master", "workers"])
def test_a_spark_process_that_ends_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, workload: dict[str, Any], advice: str
) -> None:
    """Spark itself takes minutes to notice, and tells it in words of its own."""
    monkeypatch.setattr(watch, "EVERY_S", 0.05)
    made = bench(tmp_path, workload=workload)
    lasting(made, "training", summary())
    work = host(made).home / "provisioner/demo"
    (work / "logs").mkdir(parents=True)
    (work / f"{name}.pid").write_text("4194304\n")  # above every process id
    (work / f"logs/{name}.log").write_text("OutOfMemoryError\n")
    with pytest.raises(HostError) as caught:
        train_step(made.session, "float32").apply()
    noun = "master" if name == "master" else "worker"
    assert caught.value.message == f"the Spark {noun} on a (process 4194304) has ended, and train/float32 with it"
    assert advice in caught.value.remedy
    assert caught.value.tail == ("OutOfMemoryError",)
    assert not (work / "training").exists()


def until(condition: Callable[[], Any]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.01)


# ------------------------------------------------------------------------------------------------ the code


def test_the_archive_is_the_same_every_time_and_holds_the_package() -> None:
    first, second = workload_archive(), workload_archive()
    assert first == second
    with zipfile.ZipFile(BytesIO(first)) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {"workload/__init__.py", "workload/cli.py", "workload/engines/spark.py"} <= set(names)
        assert "workload/isa.json" in names
        assert all(name.endswith((".py", ".json")) for name in names)
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
        assert "--dtype" in done.stdout


def test_without_spark_down_removes_the_folder_too(tmp_path: Path) -> None:
    """There is no other step that would."""
    made = bench(tmp_path, workload={"engine": "local"})
    step = WorkloadStep(made.session.hosts[0])
    step.apply()
    made.runner(*steps.plan(made.session).phases).down()
    assert not (host(made).home / "provisioner").exists()


def test_the_code_is_uploaded_once_and_again_when_it_differs(tmp_path: Path) -> None:
    made = bench(tmp_path)
    step = WorkloadStep(made.session.hosts[0])
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


def test_a_folder_that_is_no_clone_is_not_removed_for_one(tmp_path: Path) -> None:
    """Another deployment's, or Spark's own in an image, may have the repository's name."""
    made = on_host(bench(tmp_path), source=SampleSpec(git="https://example.com/other", ref="v1", path="training"))
    theirs = host(made).home / "provisioner/other/file"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    with pytest.raises(CommandError) as caught:
        WorkloadStep(made.session.hosts[0]).apply()
    assert caught.value.tail == (f"{theirs.parent} is there and no clone",)
    assert theirs.exists()


@pytest.mark.parametrize("ref", ["v1", "side"])
def test_a_repository_is_cloned_at_its_ref(tmp_path: Path, repository: Path, ref: str) -> None:
    """A tag, or a branch like the paper's."""
    made = on_host(bench(tmp_path), source=SampleSpec(git=str(repository), ref=ref, path="training"))
    step = WorkloadStep(made.session.hosts[0])
    assert step.describe().title == f"git clone {repository} && git checkout {ref}"
    assert step.check() == ABSENT
    step.apply()
    assert step.check() == PRESENT
    clone = host(made).home / "provisioner/models"
    subprocess.run(["git", "checkout", "-q", "--detach", "origin/HEAD"], cwd=clone, check=True, timeout=60)
    assert step.check() == ABSENT
    step.apply()
    assert step.check() == PRESENT
