"""Standard output carries JSON lines and nothing else."""

import io
import json
import os
import subprocess
import sys

from tests.workload.support import ROOT
from workload import report

NOISE = """
import os, subprocess, sys
from workload import report
with report.claimed_stdout() as stream:
    print("from Python")
    sys.stdout.flush()
    os.write(1, b"from native code\\n")
    subprocess.run(["echo", "from a child"])
    report.Reporter(stream).emit("start", model="m")
print("afterwards")
"""


def test_everything_but_the_events_goes_to_stderr():
    run = subprocess.run([sys.executable, "-c", NOISE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == '{"event": "start", "model": "m"}\nafterwards\n'
    for noise in ("from Python", "from native code", "from a child"):
        assert noise in run.stderr


def test_under_spark_submit_stderr_stays_out_of_the_merged_stream(tmp_path):
    """spark-submit gives its Python child one pipe for both streams: chatter must go to the parent's stderr."""
    child = tmp_path / "child.py"
    child.write_text("import sys\n" + NOISE.replace('print("afterwards")', ""))
    parent = (
        "import subprocess, sys\n"
        f"run = subprocess.run([sys.executable, {str(child)!r}], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)\n"
        "sys.stdout.write(run.stdout.decode())\n"
    )
    environment = {**os.environ, "PYSPARK_GATEWAY_PORT": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", parent], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout == '{"event": "start", "model": "m"}\n'
    assert "from native code" in run.stderr


def test_values_that_json_does_not_know_become_null():
    stream = io.StringIO()
    report.Reporter(stream).emit("interval", loss=float("nan"), images_per_second=float("inf"), step=3)
    assert json.loads(stream.getvalue()) == {"event": "interval", "loss": None, "images_per_second": None, "step": 3}
