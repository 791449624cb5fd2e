"""Analytics Zoo through the whole of `up` with `runtime: docker`, on a machine that boots: zoo-release is built there.

No base image can be pulled: the machine makes and serves one of its own tree, this machine's Python 3.7 and Java 8.
"""

from __future__ import annotations

import http.server
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.simulator.machines.booted_network import SUBNETS
from tests.machine.support import Provisioner, require
from tests.support import sample

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data/machine"
PYTHON_37 = Path.home() / ".pyenv/versions/3.7.16"
BASE = "127.0.0.1:5000/base:1"

pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("bootable")]


class Files(http.server.ThreadingHTTPServer):
    """A folder's files, for simulated machines alone."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return ip_address(client_address[0]) in SUBNETS


@pytest.fixture(scope="module", name="files")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port, on every address of this machine, that serves Python 3.7 and the sample's repository."""
    require("" if PYTHON_37.exists() else f"no Python 3.7 at {PYTHON_37}, and no base image with one can be pulled")
    folder = tmp_path_factory.mktemp("files")
    with tarfile.open(folder / "python.tar", "w") as tar:
        tar.add(PYTHON_37, str(PYTHON_37), filter=_needed)
    sample.make(folder, (sample.DATA / "imagenet_main.py").read_text())

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: Any) -> None:
            """Silent."""

    with Files(("0.0.0.0", 0), Handler) as server:  # the machines' network is not there yet
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = Path(member.name)
    return None if {"test", "__pycache__"} & set(path.parts) or path.suffix == ".a" else member


@pytest.fixture(scope="module", name="write")
def _write(tmp_path_factory: pytest.TempPathFactory, files: int) -> Callable[..., Path]:
    """Writes inventories/zoo-release.yaml for the simulator, small, with changes to its workload."""
    user_data = (DATA / "zoo-base-image.sh").read_text().replace("PORT", str(files)).replace("PYTHON", str(PYTHON_37))
    path = tmp_path_factory.mktemp("inventory") / "zoo.yaml"

    def write(**workload: Any) -> Path:
        inventory = yaml.safe_load((ROOT / "inventories/zoo-release.yaml").read_text())
        inventory["provider"] = "simulator"
        inventory["cloud"] = {
            "instance_types": ["ecs.hfc7.xlarge"],
            "image_family": "acs:debian_13_5_x64",
            "user_data": user_data + (DATA / "serve-base-image.sh").read_text(),
        }
        inventory["image"]["build_arguments"] = {"BASE_IMAGE": BASE, "JAVA_IMAGE": BASE}
        inventory["spark"] |= {"workers": 2, "driver_memory": "2g", "executor_memory": "2g"}
        inventory["workload"] |= {"batch_size": 2, "steps": 3, "warmup_steps": 1, **workload}
        path.write_text(yaml.safe_dump(inventory))
        return path

    return write


def test_up_with_analytics_zoo(provisioner: Provisioner, write: Callable[..., Path], files: int) -> None:
    """One story on one machine: the bundled workload, the paper's sample, what is refused, a run that is resumed."""
    # Before anything exists: this TensorFlow cannot do it.
    refused = provisioner("up", str(write(dtypes=["float32", "bfloat16"])), "--yes", status=2)
    assert "the TensorFlow in zoo-release has no bfloat16 kernels" in refused.stderr

    first = provisioner("up", str(write()), "--yes").stdout
    assert "+ [zoo-release-001] docker build" in first
    (leg,) = results(provisioner)
    wanted = {"model": "resnet50", "dtype": "float32", "engine": "tfpark", "workers": 2, "batch_size": 2, "steps": 3}
    assert wanted.items() <= leg.items()
    assert leg["images_per_second"] > 0
    assert leg["final_loss"] > 0
    assert "no changes" in provisioner("up", str(write()), "--yes").stdout
    inside = provisioner("exec", "zoo-release", "--container", "--", "numactl -C 1 nproc; java -version 2>&1").stdout
    assert inside.startswith('1\nopenjdk version "1.8')
    # The stand-in's own size does not count.
    sizes = f"docker image inspect -f '{{{{.Size}}}}' $(docker inspect -f '{{{{.Image}}}}' provisioner) {BASE}"
    whole, base = map(int, provisioner("exec", "zoo-release", "--", sizes).stdout.split())
    assert (whole - base) / 2**20 < 2300

    # The same machine, cluster and container; the sample's own program and Analytics Zoo's own script.
    source = {"git": f"http://outside:{files}/{sample.NAME}.git", "ref": sample.BRANCH, "path": sample.PATH}
    second = provisioner("up", str(write(source=source, epochs=2)), "--yes").stdout
    assert "+ [zoo-release-001] git clone" in second
    assert "+ [zoo-release-001] docker build" not in second
    _, leg = results(provisioner)
    assert (leg["dtype"], leg["engine"], leg["steps"], leg["workers"]) == ("float32", "tfpark", 12, 2)
    assert leg["images_per_second"] > 0
    assert leg["final_loss"] < 0.7

    again = provisioner("run", "zoo-release", "--dtype", "bfloat16", status=2)
    assert "has no bfloat16 kernels" in again.stderr
    said = workload(provisioner, "--dtype bfloat16", status=2)
    assert "the libtensorflow in Analytics Zoo 0.8.1 has no bfloat16 kernels" in said[-1]["message"]

    options = "--model resnet14 --image-size 32 --batch-size 2 --warmup-steps 1 --interval-steps 1 --model-dir model"
    workload(provisioner, f"{options} --steps 3")
    resumed = workload(provisioner, f"{options} --steps 5 --resume")
    assert [line["step"] for line in resumed if line["event"] == "interval"] == [4, 5]
    assert resumed[-1]["steps"] == 5

    assert "0 left." in provisioner("down", "zoo-release", "--yes").stdout


def results(provisioner: Provisioner) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(provisioner("report", "zoo-release", "--format", "json").stdout)["results"]
    return found


def workload(provisioner: Provisioner, options: str, status: int = 0) -> list[dict[str, Any]]:
    """The JSON lines of the bundled workload, started by itself in the container."""
    command = f"python3 -m workload --engine tfpark {options}"
    done = provisioner("exec", "zoo-release", "--container", "--", command, status=status)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
