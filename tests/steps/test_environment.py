"""What we start on a host runs in an environment that we make: the scripts run for real, programs are stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.inventory.spec import Spec
from provisioner.steps.history import HistoryStep
from provisioner.steps.host import programs_script
from provisioner.steps.layout import Layout
from tests.support.deployments import Bench, static_spec, train_step
from tests.support.hosts import FakeHost, cpus

CASES = yaml.safe_load((Path(__file__).parents[1] / "data/hosts/environment.yaml").read_text())
LOGIN = {case["name"]: case["value"] for case in CASES}
SCRIPTS = ("start-master", "start-workers", "start-history", "run", "run-local")


def scripts(made: Bench) -> dict[str, str]:
    """The scripts of one host by their template's name."""
    host = made.session.hosts[0]
    host.facts()
    layout = Layout(host, host)
    training = train_step(made.session, "bfloat16").script.file().content
    (history,) = HistoryStep(host, host).describe().files
    return {
        "start-master": layout.start_master().content,
        "start-workers": layout.start_workers().content,
        "start-history": history.content,
        "run-local" if made.spec.workload.engine == "local" else "run": training,
    }


def seen(tmp_path: Path, script: str, login: dict[str, str], **workload: Any) -> dict[str, str]:
    """The environment of the program that a script starts for somebody who has `login` in theirs."""
    spark, other = tmp_path / "spark", tmp_path / "other"
    engine = "local" if script == "run-local" else "spark"
    record = f"#!/bin/bash\nenv -0 >{tmp_path}/part.$$ && mv {tmp_path}/part.$$ {tmp_path}/seen\n"
    for folder, content in ((spark, record), (other, "#!/bin/bash\nexit 9\n")):
        (folder / "bin").mkdir(parents=True)
        for program in ("spark-class", "spark-submit"):
            (folder / "bin" / program).write_text(content)
            (folder / "bin" / program).chmod(0o755)
    host = FakeHost("a", tmp_path / "a", cpus=cpus(cores=1))
    made = Bench(
        static_spec("a", spark={"home": str(spark)}, workload={"engine": engine, "data": "synthetic", **workload}), host
    )
    text = scripts(made)[script]
    work = Path(made.session.hosts[0].work_folder)
    for folder in ("logs", "venv/bin"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    for program in ("python3", "numactl", "taskset"):
        stand_in = work / "venv/bin" / program
        stand_in.write_text(record if program == "python3" else '#!/bin/bash\nshift 2\nexec "$@"\n')
        stand_in.chmod(0o755)
    bash = shutil.which("bash")
    assert bash
    environment = {"PATH": os.environ["PATH"], "SPARK_HOME": str(other), **login}
    subprocess.run([bash, "-c", text], env=environment, check=True, cwd=tmp_path)
    deadline = time.monotonic() + 20
    while not (tmp_path / "seen").exists():
        assert time.monotonic() < deadline, f"{script} started nothing"
        time.sleep(0.01)
    pairs = (tmp_path / "seen").read_text().rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_logins_environment_counts_for_nothing(script: str, tmp_path: Path) -> None:
    ours = {"PYTHONPATH": "workload.zip"} if script == "run-local" else {}
    environment = seen(tmp_path, script, LOGIN)
    expected = {case["name"]: ours.get(case["name"], case["seen"]) for case in CASES}
    assert {name: environment.get(name) for name in expected} == expected


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script != "run-local"])
def test_all_take_the_same_spark(script: str, tmp_path: Path) -> None:
    """Not the one that the login names."""
    assert seen(tmp_path, script, {})["SPARK_HOME"] == str(tmp_path / "spark")


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_the_inventory_sets_is_set(script: str, tmp_path: Path) -> None:
    given = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "OMP_NUM_THREADS": "3", "JAVA_TOOL_OPTIONS": "-Da='b c'$d"}
    environment = seen(tmp_path, script, LOGIN, environment=given)
    assert {name: environment[name] for name in given} == given


def test_executors_get_what_the_inventory_sets_also_from_workers_that_run_already(tmp_path: Path) -> None:
    made = Bench(
        static_spec("a", workload={"environment": {"ONEDNN_VERBOSE": "1"}}),
        FakeHost("a", tmp_path / "a", cpus=cpus(cores=1)),
    )
    assert "--conf spark.executorEnv.ONEDNN_VERBOSE=1" in scripts(made)["run"]


def test_the_programs_are_looked_for_without_the_logins_environment(tmp_path: Path) -> None:
    """A PYTHONPATH that holds some tensorflow does not make ours complete."""
    host = FakeHost("a", tmp_path / "a", cpus=cpus(cores=1))
    made = Bench(static_spec("a"), host)
    script = programs_script(made.session.hosts[0].facts(), str(tmp_path / "venv"))
    for name in ("tensorflow", "pyspark"):
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / "__init__.py").write_text("")
    bin_ = tmp_path / "venv/bin"
    bin_.mkdir(parents=True)
    (bin_ / "python3").write_text('#!/bin/bash\n[ -n "${PYTHONPATH:-}" ]\n')
    (bin_ / "python3").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "packages")}
    look = subprocess.run(["bash", "-c", script, "programs", "look"], env=environment, capture_output=True, text=True)
    assert "missing the Python packages tensorflow and pyspark" in look.stdout


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"A=B": "1"}, "A=B"),
        ({"1A": "1"}, "1A"),
        ({"A": "one\ntwo"}, "cannot be printed"),
        ({"SPARK_HOME": "/opt/spark"}, "say spark.home"),
        ({"PYTHONPATH": "/x"}, "cannot be set here"),
    ],
)
def test_what_cannot_be_set_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Spec(name="demo", provider="local", runtime="host", workload={"environment": environment})  # type: ignore[arg-type]
