"""The whole of `up` with `runtime: docker`, as a person runs it, on a machine that boots."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.machine.support import Provisioner

ROOT = Path(__file__).parents[2]
USER_DATA = (ROOT / "tests/data/machine/serve-base-image.sh").read_text()

pytestmark = [pytest.mark.timeout(1500), pytest.mark.usefixtures("bootable")]

ENDED = r"""python3 -c '
import json, socket, time, urllib.request
page = "http://%s:18080/api/v1/applications?status=completed" % socket.gethostbyname(socket.gethostname())
deadline = time.monotonic() + 120
found = []
while len(found) < 2 and time.monotonic() < deadline:
    try:
        found = json.load(urllib.request.urlopen(page))
    except OSError:
        pass
    time.sleep(0.5)
print(len(found))
'"""
"""How many applications Spark's history server shows as ended, once there are two."""


@pytest.fixture(scope="module", name="inventory")
def _inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """inventories/booted.yaml on two hosts, as the user who has to use sudo for Docker, with few steps.

    The base image they serve themselves: none can be pulled.
    """
    inventory = yaml.safe_load((ROOT / "inventories/booted.yaml").read_text())
    inventory["cloud"] |= {"user_data": USER_DATA, "count": 2}
    inventory["ssh"] = {"user": "ecs-user"}
    inventory["spark"] = {"workers": 1}
    inventory["image"]["build_arguments"] = {"BASE_IMAGE": "127.0.0.1:5000/base:1"}
    inventory["workload"] |= {"batch_size": 2, "steps": 3, "warmup_steps": 1}
    path = tmp_path_factory.mktemp("inventory") / "booted.yaml"
    path.write_text(yaml.safe_dump(inventory))
    return path


def test_up_with_docker(provisioner: Provisioner, inventory: Path, tmp_path: Path) -> None:
    """Docker by apt over SSH, the image built there, one Spark cluster over both hosts, trained; all removed."""
    first = provisioner("up", str(inventory), "--yes").stdout
    for host in ("booted-001", "booted-002"):
        for done in ("Install and start Docker", "docker build", "docker run", "Start 1 Spark worker"):
            assert f"+ [{host}] {done}" in first
    assert re.search(r"global batch 4; .*worker \d on \S+; worker \d on \S+\n", first), "one worker on each host"
    report = json.loads(provisioner("report", "booted", "--format", "json").stdout)
    assert [(leg["dtype"], leg["engine"], leg["workers"]) for leg in report["results"]] == [
        ("float32", "spark", 2),
        ("bfloat16", "spark", 2),
    ]
    assert all(leg["images_per_second"] > 0 for leg in report["results"])

    for host in json.loads(provisioner("status", "booted", "--json").stdout)["hosts"]:
        assert host["inside"]["engine"]
        assert host["inside"]["container"]["status"] == "running"
        assert host["inside"]["container"]["health"] in ("starting", "healthy")
        assert host["inside"]["workers"] == 1

    # The history server knows both applications once they have ended.
    ended = provisioner("exec", "booted", "--host", "booted-001", "--container", "--", ENDED).stdout
    assert ended == "2\n"

    assert "no changes" in provisioner("up", str(inventory), "--yes").stdout
    assert provisioner("exec", "booted", "--container", "--", "id -un").stdout == "work\n"
    assert provisioner("exec", "booted", "--", "id -un; ls /root 2>&1 | grep -c denied").stdout == "ecs-user\n1\n"
    assert provisioner("exec", "booted", "--", "cat /sys/class/net/*/address | wc -l").stdout.strip() != "0"
    (tmp_path / "there").write_text("and back")
    provisioner("cp", str(tmp_path / "there"), "booted:folder/file")
    provisioner("cp", "booted:folder", str(tmp_path / "back"))
    assert (tmp_path / "back/file").read_text() == "and back"

    # What was killed behind its back is noticed, and started again by the same `up`.
    provisioner("exec", "booted", "--container", "--", "kill $(cat provisioner/workers.pid)")
    again = provisioner("up", str(inventory), "--yes").stdout
    assert "+ [booted-001] Start 1 Spark worker" in again

    removed = provisioner("down", "booted", "--yes").stdout
    assert "0 left." in removed
    assert json.loads(provisioner("status", "booted", "--json").stdout)["state"] == "removed"
