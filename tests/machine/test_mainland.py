"""`init`'s own inventory in mainland China, on a machine that boots and reaches nothing but what the plan chose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from provisioner.simulator.machines.booted import BootedMachines
from provisioner.simulator.server import Simulator
from tests.machine import mirrors

ROOT = Path(__file__).parents[2]
USER_DATA = (ROOT / "tests/data/machine/mainland.sh").read_text()
HOMES = ("registry-1.docker.io", "auth.docker.io", "pypi.org", "files.pythonhosted.org", "deb.debian.org", "github.com")
"""Where what the inventory needs comes from elsewhere in the world."""

pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("bootable")]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(name="reached")
def _reached(tmp_path: Path) -> Iterator[mirrors.Mirrors]:
    with mirrors.serving(tmp_path) as server:
        yield server


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Iterator[Run]:
    """The command line, with `provider: alibaba` pointed at a simulator whose machines boot and end with it."""
    folder = tmp_path / "simulator"
    with ExitStack() as ending:
        ending.callback(BootedMachines("test", folder / "machines").clean)
        simulator = ending.enter_context(Simulator(machines="booted", folder=folder))
        key_id, secret = simulator.key_pair
        environment = {
            **os.environ,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PROVISIONER_ENDPOINT": simulator.endpoint,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
        }

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "provisioner", *arguments]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=2200, check=False
            )
            assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            return done

        yield run


def test_inits_own_inventory(run: Run, reached: mirrors.Mirrors, tmp_path: Path) -> None:
    """Written, then run with less work: Docker, base image, Java, TensorFlow and Spark all come from the mirrors."""
    run("init", "bf16")
    path = tmp_path / "bf16.yaml"
    inventory = yaml.safe_load(path.read_text())
    assert (inventory["provider"], inventory["cloud"]["region"]) == ("alibaba", "cn-hangzhou")
    inventory["cloud"] |= {
        "user_data": USER_DATA.replace("PORT", str(reached.server_port)),
        "ssh_from": ["127.0.0.1/32"],
    }
    inventory["workload"] |= {"batch_size": 2, "steps": 3, "warmup_steps": 1}
    path.write_text(yaml.safe_dump(inventory))
    run("up", str(path), "--yes")
    report = json.loads(run("report", "bf16", "--format", "json").stdout)
    assert [leg["dtype"] for leg in report["results"]] == ["float32", "bfloat16"]
    assert all(leg["images_per_second"] > 0 for leg in report["results"])
    looked_up = run("exec", "bf16", "--", f"getent ahosts {' '.join(HOMES)} || echo none of them").stdout
    assert looked_up == "none of them\n"
    asked = {(host, path.split("/")[1]) for host, path in reached.asked}
    assert asked == {
        ("mirrors.cloud.aliyuncs.com", "debian"),
        ("mirrors.cloud.aliyuncs.com", "debian-security"),
        ("mirrors.cloud.aliyuncs.com", "pypi"),
        ("ac2-registry.cn-hangzhou.cr.aliyuncs.com", "v2"),
    }
    assert "0 left." in run("down", "bf16", "--yes").stdout


def test_without_docker(run: Run, reached: mirrors.Mirrors, tmp_path: Path) -> None:
    """`runtime: host` there: Java and Python by apt, TensorFlow and Spark by pip, for a user who has to use sudo."""
    inventory = {
        "name": "bare",
        "provider": "alibaba",
        "runtime": "host",
        "cloud": {"user_data": USER_DATA.replace("PORT", str(reached.server_port)), "ssh_from": ["127.0.0.1/32"]},
        "ssh": {"user": "ecs-user"},
        "workload": {"batch_size": 2, "steps": 3, "warmup_steps": 1, "dtypes": ["bfloat16"]},
    }
    path = tmp_path / "bare.yaml"
    path.write_text(yaml.safe_dump(inventory))
    first = run("up", str(path), "--yes").stdout
    assert (
        "Provide Java 17+, numactl, TensorFlow and Spark from http://mirrors.cloud.aliyuncs.com/pypi/simple/" in first
    )
    assert "no changes" in run("up", str(path), "--yes").stdout
    inside = run("exec", "bare", "--", "id -un; java -version 2>&1 | head -n 1; numactl -C 1 nproc").stdout
    assert inside.startswith('ecs-user\nopenjdk version "21')
    assert inside.endswith("\n1\n")
    assert {host for host, _ in reached.asked} == {"mirrors.cloud.aliyuncs.com"}
    assert "0 left." in run("down", "bare", "--yes").stdout
