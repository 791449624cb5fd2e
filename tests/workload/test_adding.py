"""docs/adding.md, "A workload model": its entries and its module are all that a new model needs."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from provisioner import catalog
from provisioner.catalog import workload_models
from provisioner.inventory.spec import WorkloadSpec
from provisioner.reporting import report
from tests.workload.support import ROOT

PAGE = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
ENTRY = re.compile(r"^In `workload/models.json`, below `(\w+)`:\n\n```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"^As `(\w+\.py)` in `workload/tasks/`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(name="root")
def _root(tmp_path):
    """A folder with the workload as it would be with the page's entries and module in it."""
    shutil.copytree(ROOT / "workload", tmp_path / "workload")
    data = json.loads((tmp_path / "workload/models.json").read_text())
    for below, entry in ENTRY.findall(PAGE):
        (data["tasks"] if below == "tasks" else data["tasks"][below]["models"]).update(json.loads(entry))
    (tmp_path / "workload/models.json").write_text(json.dumps(data))
    ((name, source),) = MODULE.findall(PAGE)
    (tmp_path / "workload/tasks" / name).write_text(source)
    return tmp_path


def run(root, *arguments):
    """Its JSON lines, by event; for events that come more than once the last."""
    done = subprocess.run(
        [sys.executable, "-m", "workload", *arguments, "--image-size", "16", "--classes", "3", "--batch-size", "2"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {line["event"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_the_inventory_and_the_report_know_it(root, monkeypatch):
    monkeypatch.setattr(workload_models, "data_folder", lambda name: root / name)
    workload_models._models.cache_clear()
    try:
        assert WorkloadSpec(model="resnet26").model == "resnet26"
        assert catalog.models()["linear-small"].engines == ("local", "spark")
        shown = report.name_of("linear-small"), report.name_of("resnet26"), report.unit("linear-small")
        assert shown == ("Linear (small)", "ResNet-26", "images/second")
    finally:
        workload_models._models.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("mode", ["train", "infer"])
def test_a_new_network_trains_and_infers(root, mode, dtype):
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    lines = run(
        root, "--model", "linear-small", "--mode", mode, "--dtype", dtype, "--steps", "3", "--warmup-steps", "1"
    )
    assert lines["start"]["parameters"] == 8 * 8 * 3 * 3
    assert lines["start"]["learning_rate"] == 0.01
    assert lines["summary"]["images_per_second"] > 0


def test_a_new_size_trains(root):
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    lines = run(root, "--model", "resnet26", "--steps", "2")
    assert lines["summary"]["model"] == "resnet26"
    assert lines["start"]["parameters"] > 10_000_000
