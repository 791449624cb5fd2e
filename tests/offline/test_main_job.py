"""The main job: cloud, SSH, Spark and training, all real but the cloud; then everything one does with what it made."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from provisioner.adapters.ssh import generate_key
from tests.support.cli import Done, provisioner
from tests.support.site import Site
from tests.support.ssh_server import Servers
from tests.support.tiers import local_tier, require

LONG_S = 600
"""For one training on a machine that has other things to do."""

JOB = """\
name: job
provider: simulator
runtime: host
cloud: {{instance_types: [ecs.hfc7.xlarge], auto_release_hours: 2{cloud}}}
ssh: {{port: 2222}}
spark: {{workers: {workers}}}
workload: {{engine: spark, batch_size: 2, steps: 3, warmup_steps: 1, dtypes: [{dtypes}]}}
"""
ALONE = """\
name: job
runtime: host
workload: {engine: local, batch_size: 2, steps: 2, warmup_steps: 1, dtypes: [bfloat16]}
"""

pytestmark = pytest.mark.timeout(3 * LONG_S)


@pytest.fixture(autouse=True)
def needs() -> None:
    require(local_tier())


def inventory(site: Site, *, workers: int = 2, dtypes: str = "float32, bfloat16", cloud: str = "") -> Path:
    path = site.folder / "job.yaml"
    path.write_text(JOB.format(workers=workers, dtypes=dtypes, cloud=cloud))
    return path


def fine(done: Done) -> Done:
    assert done.code == 0, f"{done.out[-3000:]}\n{done.err[-3000:]}"
    return done


def changed(done: Done) -> list[str]:
    """What an `up` did, and what it waited for."""
    return [line for line in done.out.splitlines() if line.startswith(("  + ", "    . "))]


def marked(simulator_id: str) -> list[int]:
    """Processes of the simulator's machines."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if f"={simulator_id}/".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def test_the_main_job(site: Site) -> None:
    """One story, since each part needs what the part before it left."""
    path = inventory(site)
    first = fine(site.run("up", path, "--yes", timeout=LONG_S))
    assert "ResNet-50 model training" in first.out
    assert "119.636 | 212.315" in first.out
    assert "1 instance of job exists, " in first.out

    again = fine(site.run("up", path, "--yes", timeout=LONG_S))
    assert changed(again) == []
    assert "no changes: everything was there already" in again.out

    report = fine(site.run("report", "job", "--format", "json")).json
    assert list(report)[:5] == ["name", "results", "speedup", "host", "versions"]
    assert [each["dtype"] for each in report["results"]] == ["float32", "bfloat16"]
    wanted = {"model": "resnet50", "mode": "train", "engine": "spark", "workers": 2, "batch_size": 2, "steps": 3}
    for each in report["results"]:
        assert wanted.items() <= each.items()
        assert each["images_per_second"] > 0
        assert each["final_loss"] is not None
    assert report["speedup"]["train"] > 0
    assert set(report["host"]) == {"cpu", "isa", "cores"}
    assert {"tensorflow", "pyspark", "python"} <= set(report["versions"])

    status = fine(site.run("status", "job", "--json")).json
    (host,) = status["hosts"]
    assert (host["name"], host["state"], host["type"]) == ("job-001", "Running", "ecs.hfc7.xlarge")
    assert (status["results"], status["cost"]["currency"]) == (2, "CNY")

    files_and_logs(site)
    spark_pages(site)
    killed_worker(site, path)
    measured_again(site)

    down = fine(site.run("down", "job", "--yes"))
    assert "0 left" in down.out
    assert site.simulator.resources == []
    site.until(lambda: not marked(site.simulator.simulator_id))
    assert len(fine(site.run("report", "job", "--format", "json")).json["results"]) == 3


def files_and_logs(site: Site) -> None:
    look = "cd provisioner/job/conf; cat spark-defaults.conf; stat -c 'mode %a' spark-defaults.conf"
    settings = fine(site.run("exec", "job", "--", look)).out
    assert "spark.authenticate=true" in settings
    assert "mode 600" in settings
    (site.folder / "note").write_text("there and back")
    fine(site.run("cp", site.folder / "note", "job:notes/one"))
    fine(site.run("cp", "job:notes", site.folder / "notes"))
    assert (site.folder / "notes/one").read_text() == "there and back"
    assert '"event": "summary"' in fine(site.run("logs", "job")).out
    secret = next((site.folder / "state/provisioner/job/secrets").iterdir()).read_text()
    assert secret in settings
    events = (site.folder / "state/provisioner/job/events.jsonl").read_text()
    assert secret not in events


def spark_pages(site: Site) -> None:
    """The master's, both workers' and the history server's, which is started where it does not run."""
    fine(site.run("exec", "job", "--", "kill $(cat provisioner/job/history.pid)"))
    process = site.start("tunnel", "job")
    try:
        assert process.stdout is not None
        lines = list(iter(process.stdout.readline, "Ctrl-C ends it\n"))
        pages = [tuple(line.rsplit(maxsplit=1)) for line in lines]
        titles = ["Spark master", "worker on job-001", "worker on job-001", "running application", "history"]
        assert [title for title, _ in pages] == titles
        assert "Spark Master at spark://" in content(pages[0][1])
        for _, url in pages[1:3]:
            assert "Spark Worker at " in content(url)
        site.until(lambda: "History Server" in content(pages[4][1]), process)
    finally:
        process.send_signal(signal.SIGINT)
        code, _, _ = site.end(process)
    assert code == 130


def content(url: str) -> str:
    """A page; "" where nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode())
    except (OSError, http.client.HTTPException):
        return ""


def killed_worker(site: Site, path: Path) -> None:
    """It is noticed, and `up` again starts the workers and measures nothing twice."""
    pids = fine(site.run("exec", "job", "--", "cat provisioner/job/workers.pid")).out.split()
    assert len(pids) == 2
    os.kill(int(pids[0]), signal.SIGKILL)
    mended = fine(site.run("up", path, "--yes", timeout=LONG_S))
    assert "+ [job-001] Start 2 Spark workers" in mended.out
    assert "= [job-001] Train ResNet-50 in float32" in mended.out
    after = fine(site.run("exec", "job", "--", "cat provisioner/job/workers.pid")).out.split()
    assert not set(after) & set(pids)


def measured_again(site: Site) -> None:
    out = fine(site.run("run", "job", "--dtype", "bfloat16", "--steps", "2", timeout=LONG_S)).out
    assert "+ [job-001] Train ResNet-50 in bfloat16" in out
    results = fine(site.run("report", "job", "--format", "json")).json["results"]
    assert [(each["dtype"], each["steps"]) for each in results] == [("float32", 3), ("bfloat16", 3), ("bfloat16", 2)]


def test_training_to_accuracy_leaves_its_curve_a_model_and_what_tensorboard_reads(site: Site) -> None:
    """Two epochs over real images on two workers; the best checkpoint and the SavedModel stay on the host."""
    image_files = pytest.importorskip("tests.workload.image_files")
    pytest.importorskip("sklearn")
    image_files.write_digits(site.folder / "digits")
    path = inventory(site, dtypes="bfloat16")
    path.write_text(
        path.read_text().partition("workload:")[0]
        + f"workload: {{engine: spark, model: resnet14, classes: 10, image_size: 32, augment: none, batch_size: 16, "
        f"warmup_steps: 1, epochs: 2, evaluate: true, learning_rate: 0.1, data: {site.folder / 'digits'}, "
        f"model_dir: {site.folder / 'models'}, export_dir: {site.folder / 'saved'}, dtypes: [bfloat16]}}\n"
    )
    done = fine(site.run("up", path, "--yes", timeout=LONG_S))
    assert "599 images evaluated after epoch 2: top-1 " in done.out
    (result,) = fine(site.run("report", "job", "--format", "json")).json["results"]
    assert [each["epoch"] for each in result["evaluations"]] == [1, 2]
    assert result["evaluations"][-1]["top_1"] > 0.5
    kept = site.folder / "models/resnet14-bfloat16"
    assert list(kept.glob("events.out.tfevents.*"))
    assert (kept / "best/checkpoint").exists()
    assert (site.folder / "saved/resnet14-bfloat16/saved_model.pb").exists()
    # Another model and another type do not meet these checkpoints; this one does, and says so.
    refused = site.run("run", "job", timeout=LONG_S)
    assert refused.code != 0
    assert "already holds a checkpoint; add --resume" in refused.err
    fine(site.run("run", "job", "--model", "resnet50", "--data", "synthetic", "--steps", "2", timeout=LONG_S))
    fine(site.run("down", "job", "--yes"))


def test_two_instances_are_one_cluster_and_rm_removes_it(site: Site) -> None:
    """The master on the first, a worker on each, one all-reduce over both; then nothing is left."""
    path = inventory(site, workers=1, dtypes="bfloat16", cloud=", count: 2")
    done = fine(site.run("up", path, "--yes", "--rm", timeout=LONG_S))
    assert "[job-002] Start 1 Spark worker" in done.out
    assert "[job-002] Start the Spark master" not in done.out
    (result,) = fine(site.run("report", "job", "--format", "json")).json["results"]
    assert result["workers"] == 2
    assert site.simulator.resources == []
    site.until(lambda: not marked(site.simulator.simulator_id))


def test_ctrl_c_while_training_ends_it_everywhere(site: Site) -> None:
    """The command on the host is cut off, nothing is begun again, and --rm removes everything."""
    path = inventory(site, dtypes="float32")
    path.write_text(path.read_text().replace("steps: 3", "steps: 100000"))
    process = site.start("up", path, "--yes", "--rm")
    log = site.folder / "state/provisioner/job/logs/train-float32-1.log"
    deadline = time.monotonic() + LONG_S
    while not (log.exists() and '"interval"' in log.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    code, out, err = site.end(process)
    assert code == 130, (out[-2000:], err)
    assert err.splitlines()[-1] == "provisioner: interrupted: everything was removed"
    assert out.count("Train ResNet-50") == 0  # neither done nor failed
    assert site.simulator.resources == []
    site.until(lambda: not marked(site.simulator.simulator_id))


def with_ours_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python3` is the one that has the packages, as in an activated environment."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def test_this_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """provider: local: no cloud, no SSH, no Spark; the state folder is all there is."""
    path = tmp_path / "job.yaml"
    path.write_text("provider: local\n" + ALONE)
    with_ours_first(monkeypatch)
    fine(provisioner("up", path, "--yes", timeout=LONG_S))
    assert "no changes" in fine(provisioner("up", path, "--yes", timeout=LONG_S)).out
    (result,) = fine(provisioner("report", "job", "--format", "json")).json["results"]
    assert (result["engine"], result["workers"], result["dtype"]) == ("local", 1, "bfloat16")
    fine(provisioner("down", "job", "--yes"))
    assert not (tmp_path / "state/provisioner/job/host/provisioner").exists()


def test_data_that_the_model_does_not_expect_stops_up_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at where it lies, and said with the inventory's own words; fit data, and what was skipped, is told."""
    with_ours_first(monkeypatch)
    cases = Path(__file__).parents[1] / "data/cases"
    path = tmp_path / "job.yaml"
    work = "model: resnet14, image_size: 32, augment: none, data: {}, classes: {}"
    path.write_text("provider: local\n" + ALONE.replace("steps: 2", work.format(cases / "labels-from-zero", 2)))
    refused = provisioner("up", path, "--yes", timeout=LONG_S)
    assert refused.code == 1
    assert "the labels in the files are 0 to 1 and must be from 1" in refused.err
    assert [line for line in changed(refused) if "Upload the bundled workload" in line]
    assert not [line for line in changed(refused) if "Train" in line]
    path.write_text("provider: local\n" + ALONE.replace("steps: 2", work.format(cases / "hidden-class-folder", 4)))
    assert "has 5 classes; add workload.classes: 5" in provisioner("up", path, "--yes", timeout=LONG_S).err
    path.write_text("provider: local\n" + ALONE.replace("steps: 2", work.format(cases / "hidden-class-folder", 5)))
    done = fine(provisioner("up", path, "--yes", timeout=LONG_S))
    assert "train: 80 images, labels 0 to 4" in done.out
    assert "1 hidden or companion entry skipped" in done.out
    fine(provisioner("down", "job", "--yes"))


def test_a_host_of_ones_own_over_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """provider: static, with its key in the inventory; nothing but Python's packages is taken for granted there."""
    home = tmp_path / "remote"
    home.mkdir()
    with_ours_first(monkeypatch)
    servers = Servers()
    try:
        server = servers.add(home=home, login=[generate_key(tmp_path / "key", "test")]).start()
        host: dict[str, Any] = {"name": "mine", "address": "127.0.0.1", "port": server.port}
        host["host_key"] = server.public_keys[0]
        path = tmp_path / "job.yaml"
        ssh = json.dumps({"key_file": str(tmp_path / "key")})
        path.write_text(f"provider: static\nhosts: [{json.dumps(host)}]\nssh: {ssh}\n{ALONE}")
        fine(provisioner("up", path, "--yes", timeout=LONG_S))
        assert (home / "provisioner/job/workload.zip").exists()
        (result,) = fine(provisioner("report", "job", "--format", "json")).json["results"]
        assert result["images_per_second"] > 0
        fine(provisioner("down", "job", "--yes"))
        assert not (home / "provisioner").exists()
    finally:
        servers.close()
