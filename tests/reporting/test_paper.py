"""`plan inventories/paper.yaml` is the paper's procedure, to the character where the paper gives characters.

Golden files (tests/data/paper) hold whole files; the lines below are copied from the paper itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner import steps
from provisioner.deployment import Session
from provisioner.inventory import load
from provisioner.operations import plan as planning

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parents[1] / "data/paper"

SETTINGS = """\
spark.authenticate=false
spark.ui.killEnabled=true
spark.eventLog.enabled=true
spark.history.ui.port=18080
spark.eventLog.dir=file:///var/log/spark/spark-events
spark.history.fs.logDirectory=file:///var/log/spark/spark-events
spark.shuffle.service.port=7337
spark.master=spark://paper-001:7077
"""
WORKERS = """\
numactl -C 0-11 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 12-23 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 24-35 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 36-47 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 48-59 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 60-71 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 72-83 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
numactl -C 84-95 ./spark-class org.apache.spark.deploy.worker.Worker spark://$(hostname):7077 &
"""
EXPORTS = """\
# Register the model as a source root
export PYTHONPATH="$(pwd):${PYTHONPATH}"
export KMP_BLOCKTIME=0
# 8 instances
export OMP_NUM_THREADS=6
export KMP_AFFINITY=granularity=fine,compact,1,0
export KMP_SETTINGS=1
export ANALYTICS_ZOO_HOME=/opt/work/analytics-zoo/dist
export SPARK_HOME=/opt/work/spark-2.4.3
"""
SUBMIT = (
    "bash $ANALYTICS_ZOO_HOME/bin/spark-submit-python-with-zoo.sh --master spark://$(hostname):7077 "
    "--executor-cores 1 --total-executor-cores 8 --driver-memory 20g --executor-memory 18g "
    "--conf spark.network.timeout=10000000 --conf spark.executor.heartbeatInterval=100000 "
    "imagenet_main.py 1 --model_dir ./logs --batch_size 128 --version 1 "
    "--resnet_size 50 --train_epochs 90 --data_dir /opt/ILSVRC2012/"
)
TAG = "intelanalytics/analytics-zoo:0.8.1-bigdl_0.10.0-spark_2.4.3-bf16"


@pytest.fixture(scope="module", name="plan")
def _plan() -> dict[str, Any]:
    return planning.document(steps.plan(Session(load(ROOT / "inventories/paper.yaml")))).as_json()


@pytest.fixture(scope="module", name="files")
def _files(plan: dict[str, Any]) -> dict[str, str]:
    return {file["path"].rpartition("/")[2]: file["content"] for file in plan["files"]}


@pytest.mark.parametrize("golden", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_golden_files(golden: Path, files: dict[str, str]) -> None:
    """The rendered file is the golden one."""
    assert files[golden.name] == golden.read_text()


def test_spark_settings(plan: dict[str, Any], files: dict[str, str]) -> None:
    """The eight settings, the host's real name in the last, in the folder that the paper names."""
    assert files["spark-defaults.conf"] == SETTINGS
    assert "/opt/work/spark-2.4.3/conf/spark-defaults.conf" in [file["path"] for file in plan["files"]]


def test_worker_lines(plan: dict[str, Any], files: dict[str, str]) -> None:
    """The eight lines, one after the other, and no ninth."""
    assert WORKERS in files["start-workers.sh"]
    assert files["start-workers.sh"].count("numactl -C") == 8
    assert "/opt/work/spark-2.4.3/bin/start-workers.sh" in [file["path"] for file in plan["files"]]


@pytest.mark.parametrize(("dtype", "option"), [("float32", ""), ("bfloat16", " --use_bfloat16")])
def test_run_scripts(files: dict[str, str], dtype: str, option: str) -> None:
    """The exports and the whole spark-submit line; --use_bfloat16 in the bfloat16 leg alone."""
    script = files[f"run-{dtype}.sh"]
    assert EXPORTS in script
    assert SUBMIT + option == script.replace("\\\n", "").rstrip("\n").rpartition("\n")[2]
    assert script.count("--use_bfloat16") == (1 if option else 0)


def test_steps(plan: dict[str, Any]) -> None:
    """Docker, the paper's tag, the paper's container, its repository and branch, in this order."""
    titles = [step["title"] for step in plan["steps"]]
    wanted = [
        "Docker",
        f"docker pull {TAG}",
        f"docker run -itd --name az1 --net=host --privileged {TAG}",
        "git clone https://github.com/yangw1234/models-1.git && git checkout branch-1.6.1-zoo",
    ]
    places = [next((i for i, title in enumerate(titles) if text in title), None) for text in wanted]
    assert None not in places, titles
    assert places == sorted(places)  # type: ignore[type-var]


def test_the_plan_is_the_same_twice(plan: dict[str, Any]) -> None:
    """Bit for bit: nothing of the time, the machine or chance goes into a plan."""
    again = planning.document(steps.plan(Session(load(ROOT / "inventories/paper.yaml")))).as_json()
    assert again == plan
