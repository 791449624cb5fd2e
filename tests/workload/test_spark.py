"""Engine spark on a real standalone cluster: a master and two pinned workers on loopback."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.workload.support import ROOT, SMALL, Run

pytest.importorskip("pyspark", reason="pyspark is not installed")
pytest.importorskip("tensorflow", reason="tensorflow is not installed")


def start(cluster, *arguments, **environment):
    """The workload as a driver of that cluster, started and not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "workload", "--engine", "spark", "--master", cluster.master, *SMALL, *arguments],
        cwd=ROOT,
        env={**os.environ, "SPARK_LOCAL_IP": cluster.address, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process, event):
    """Read the driver's lines up to the first of that kind."""
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if seen[-1]["event"] == event:
            return
    raise AssertionError(f"no {event} in {seen}: {process.stderr.read()[-2000:]}")


def test_spark_submit_with_a_zip_trains_on_all_slots_and_prints_only_json(cluster, package_zip):
    """The paper's way: spark-submit --py-files, executor-cores 1, total-executor-cores 2."""
    from tests.workload.cluster import SPARK_HOME

    run = Run(
        subprocess.run(
            [
                *(SPARK_HOME / "bin/spark-submit", "--master", cluster.master),
                *("--executor-cores", "1", "--total-executor-cores", "2", "--executor-memory", "512m"),
                *("--py-files", package_zip / "workload.zip", package_zip / "run_workload.py"),
                *("--engine", "spark", *SMALL, "--steps", "10", "--interval-steps", "5"),
            ],
            cwd=package_zip,
            env={**os.environ, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": cluster.address}
            | {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    )
    assert [line["event"] for line in run.events] == ["start", "interval", "interval", "summary"], run.stderr[-2000:]
    assert run.summary["workers"] == 2
    assert run.of("start")[0]["global_batch_size"] == 16
    assert set(run.summary["versions"]) >= {"python", "tensorflow", "pyspark"}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_task_ends_the_job_within_seconds_and_says_why(cluster, sent):
    process = start(cluster, "--workers", "2", "--steps", "1000000", "--interval-steps", "20")
    try:
        until(process, "interval")
        victim = next(pids for pids in cluster.python_workers() if pids)[0]
        os.kill(victim, sent)
        killed_at = time.monotonic()
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    error = json.loads(output.splitlines()[-1])
    assert process.returncode == 1, errors[-2000:]
    assert error["event"] == "error"
    assert "worker" in error["message"]
    assert "killed or crashed" in error["message"]
    assert time.monotonic() - killed_at < 20


def test_a_stopped_task_counts_as_lost(cluster):
    """A process that is neither gone nor answering must not hang the job."""
    process = start(cluster, "--workers", "2", "--steps", "1000000", "--interval-steps", "9", "--worker-timeout-s", "4")
    victim = None
    try:
        until(process, "interval")
        victim = next(pids for pids in cluster.python_workers() if pids)[0]
        os.kill(victim, signal.SIGSTOP)
        output, errors = process.communicate(timeout=60)
    finally:
        if victim:
            os.kill(victim, signal.SIGKILL)
        process.kill()
        process.wait()
    assert process.returncode == 1, errors[-2000:]
    assert "has been silent for 4 s" in json.loads(output.splitlines()[-1])["message"]


def test_more_workers_than_slots_is_refused(cluster):
    waiting = "--conf spark.scheduler.maxRegisteredResourcesWaitingTime=2s pyspark-shell"
    process = start(cluster, "--workers", "3", "--steps", "2", PYSPARK_SUBMIT_ARGS=waiting)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors[-2000:]
    assert "offers 2" in json.loads(output.splitlines()[-1])["message"]
