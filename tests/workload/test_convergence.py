"""Both precisions learn the same thing on two workers: scikit-learn's digits, enlarged."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("pyspark", reason="pyspark is not installed")
pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from tests.workload import image_files
from tests.workload.support import ROOT, Run

OPTIONS = (
    "--model resnet14 --classes 10 --image-size 32 --augment none --batch-size 16 --epochs 8 --learning-rate 0.1"
    " --weight-decay 1e-3 --seed 1 --evaluate --interval-steps 100"
)


def test_bfloat16_is_as_accurate_as_float32_on_two_workers(cluster, tmp_path):
    """Same seed, 599 digits never trained on: both above 95 % and within one point."""
    image_files.write_digits(tmp_path)
    top_1 = {}
    for dtype in ("float32", "bfloat16"):
        run = Run(
            subprocess.run(
                [
                    *(sys.executable, "-m", "workload", "--engine", "spark", "--master", cluster.master),
                    *("--workers", "2", "--data", tmp_path, "--dtype", dtype, *OPTIONS.split()),
                ],
                cwd=ROOT,
                env={**os.environ, "SPARK_LOCAL_IP": cluster.address},
                capture_output=True,
                text=True,
                check=False,
            )
        )
        assert run.summary["workers"] == 2
        last = run.of("evaluation")[-1]
        assert last["images"] == 599, "the workers' shares of the validation split add up"
        top_1[dtype] = last["top_1"]
    assert min(top_1.values()) > 0.95, top_1
    assert abs(top_1["float32"] - top_1["bfloat16"]) <= 0.01, top_1
