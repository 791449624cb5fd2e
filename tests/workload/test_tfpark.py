"""Engine tfpark without Analytics Zoo: what it reads from BigDL's log, and what it refuses before anything starts.

The engine itself needs Java 8, Python 3.7 and TensorFlow 1.15.
"""

import pathlib
import sys
import types

import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from workload.config import Config
from workload.engines import tfpark
from workload.errors import UsageError, WorkloadError

LOG = pathlib.Path(__file__).parent / "iterations.txt"


def iterations(first=0, **fields):
    """``(reader, events)`` of a reader that has seen the whole log."""
    events = []
    config = Config(steps=first + 6, warmup_steps=2, interval_steps=3, workers=1, batch_size=8)._replace(**fields)
    reader = tfpark.Iterations(config, first, lambda event, **line: events.append(line))
    for line in LOG.read_text().splitlines():
        reader.line(line)
    return reader, events


def test_throughput_and_loss_come_from_bigdls_own_lines():
    """Records over seconds of the interval's iterations, and of those after the warm-up."""
    reader, events = iterations()
    assert [line["step"] for line in events] == [3, 6]
    assert events[0]["images_per_second"] == pytest.approx(24 / (1.6 + 0.2 + 0.16), rel=1e-3)
    assert events[1]["loss"] == pytest.approx(1.9)
    assert events[1]["elapsed_s"] == pytest.approx(2.44)
    result = reader.result()
    assert result["timed_steps"] == 4
    assert result["elapsed_s"] == pytest.approx(0.16 * 4)
    assert result["final_loss"] == pytest.approx(1.9)


def test_a_resumed_run_goes_on_counting():
    _, events = iterations(first=30)
    assert [line["step"] for line in events] == [33, 36]


def test_a_log_without_iterations_is_an_error():
    reader = tfpark.Iterations(Config(steps=6, warmup_steps=2), 0, lambda event, **line: None)
    reader.line("INFO DistriOptimizer$: caching training rdd ...")
    with pytest.raises(WorkloadError, match="BigDL logged no throughput"):
        reader.result()


def install(monkeypatch, from_tf_data_dataset):
    """A stand-in for the package, with that signature."""
    zoo, park = types.ModuleType("zoo"), types.ModuleType("zoo.tfpark")
    zoo.__version__ = "0.8.1"
    park.TFDataset = types.SimpleNamespace(from_tf_data_dataset=from_tf_data_dataset)
    monkeypatch.setitem(sys.modules, "zoo", zoo)
    monkeypatch.setitem(sys.modules, "zoo.tfpark", park)


def test_bfloat16_on_the_release_is_refused_before_anything_starts(monkeypatch):
    install(monkeypatch, lambda dataset, batch_size=-1, shuffle=True, remove_checking=False: None)
    with pytest.raises(UsageError, match=r"Analytics Zoo 0\.8\.1 has no bfloat16 kernels"):
        tfpark.run(Config(engine="tfpark", dtype="bfloat16"), None)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_later_build_goes_on_to_start_spark(monkeypatch, dtype):
    install(monkeypatch, lambda dataset, batch_size=-1, batch_outside=False: None)

    def started(config):
        raise WorkloadError("started")

    monkeypatch.setattr(tfpark, "_context", started)
    with pytest.raises(WorkloadError, match="started"):
        tfpark.run(Config(engine="tfpark", dtype=dtype), None)


class Conf(dict):
    """As much of pyspark's SparkConf as the engine uses; as there, nothing of spark-submit's is in it yet."""

    contains = dict.__contains__

    def set(self, key, value):
        self[key] = value
        return self

    def setMaster(self, value):
        self["spark.master"] = value


@pytest.mark.parametrize(
    ("submitted", "fields", "expected"),
    [
        (True, {"workers": 2}, {"spark.executor.cores": "1", "spark.cores.max": "2"}),
        (True, {"workers": 2, "master": "local[2]"}, {"spark.master": "local[2]"}),
        (False, {"workers": 1}, {"spark.master": "local[1]", "spark.driver.extraJavaOptions": "-noverify"}),
    ],
)
def test_spark_submit_names_the_master(monkeypatch, submitted, fields, expected):
    """Started by spark-submit, the engine runs where that says; by itself, in one process, with its own class path."""
    install(monkeypatch, None)
    context, common, conf = types.ModuleType("zoo.common.nncontext"), types.ModuleType("zoo.common"), Conf()
    context.init_spark_conf = lambda: conf
    context.init_nncontext = lambda given, redirect_spark_log: given
    monkeypatch.setitem(sys.modules, "zoo.common", common)
    monkeypatch.setitem(sys.modules, "zoo.common.nncontext", context)
    monkeypatch.setattr(tfpark, "_jars", lambda: ["zoo.jar"])
    monkeypatch.setenv("PYSPARK_PYTHON", "python3")
    if submitted:
        monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    else:
        monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    found = tfpark._context(Config(engine="tfpark", **fields))
    if submitted:
        assert found == expected
    else:
        assert expected.items() <= found.items()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "infer"}, "trains only"),
        ({"evaluate": True}, "neither evaluates nor exports"),
        ({"export_dir": "/tmp/x"}, "neither evaluates nor exports"),
    ],
)
def test_what_it_cannot_do_is_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        tfpark.run(Config(engine="tfpark", **fields), None)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zoo", None)
    with pytest.raises(UsageError, match="needs Analytics Zoo"):
        tfpark.run(Config(engine="tfpark"), None)
