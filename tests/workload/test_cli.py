"""The command line: every refusal is one JSON line and exit code 2."""

import json
import pathlib
import subprocess
import sys
import zipfile

import pytest

from tests.workload.support import ROOT, package_files
from workload import cli
from workload.errors import UsageError

CASES = json.loads((pathlib.Path(__file__).parent / "cli_errors.json").read_text())
IMPORTS_TENSORFLOW = ("/no/such/folder", "one process")


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case["arguments"]))
def test_wrong_arguments_are_refused_with_one_line(capfd, case):
    if any(part in case["message"] for part in IMPORTS_TENSORFLOW):
        pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    assert cli.main(case["arguments"]) == 2
    (line,) = capfd.readouterr().out.splitlines()
    error = json.loads(line)
    assert error["event"] == "error"
    assert case["message"] in error["message"]


def test_what_is_not_said_gets_a_default():
    config = cli.configured([])
    assert (config.engine, config.model, config.dtype, config.batch_size) == ("local", "resnet50", "float32", 32)
    settled = config.settled(None)
    assert (settled.steps, settled.warmup_steps) == (20, 5)
    assert config._replace(steps=3).settled(None).warmup_steps == 2
    assert config._replace(epochs=2.0).settled(7).steps == 14


def test_the_learning_rate_follows_the_global_batch():
    config = cli.configured(["--batch-size", "128", "--workers", "8"])
    assert config.base_learning_rate == pytest.approx(0.4)
    assert config._replace(learning_rate=0.3).base_learning_rate == 0.3


def test_steps_and_epochs_exclude_each_other():
    with pytest.raises(UsageError):
        cli.configured(["--data", "/data", "--steps", "3", "--epochs", "1"])


@pytest.mark.parametrize("form", ["module", "script", "copied script with a zip"])
def test_every_way_to_start_it_finds_the_package(tmp_path, form):
    """``-m workload``, the file inside the package, and spark-submit's form: a copy beside a zip on the path."""
    script = ROOT / "workload" / "__main__.py"
    command, environment = {
        "module": ([sys.executable, "-m", "workload"], {"PYTHONPATH": str(ROOT)}),
        "script": ([sys.executable, str(script)], {}),
        "copied script with a zip": (
            [sys.executable, str(tmp_path / "run_workload.py")],
            {"PYTHONPATH": str(tmp_path / "workload.zip")},
        ),
    }[form]
    (tmp_path / "run_workload.py").write_text(script.read_text())
    with zipfile.ZipFile(tmp_path / "workload.zip", "w") as archive:
        for path in package_files():
            archive.write(path, path.relative_to(ROOT))
    run = subprocess.run(
        [*command, "--resume"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2, run.stderr
    assert "--resume needs --model-dir" in json.loads(run.stdout)["message"]


def test_help_goes_to_standard_output():
    done = subprocess.run([sys.executable, "-m", "workload", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--sequence-length" in done.stdout


def test_it_never_imports_the_provisioner():
    for path in package_files():
        assert "provisioner" not in path.read_text(), path


def test_the_syntax_is_python_3_6s():
    vermin = pathlib.Path(sys.executable).parent / "vermin"
    if not vermin.exists():
        pytest.skip("vermin is not installed")
    run = subprocess.run(
        [vermin, "-t=3.6-", "--no-tips", "--violations", ROOT / "workload"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
