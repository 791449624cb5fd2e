"""Engine local, as a user runs it: python -m workload in a process of its own."""

import pytest

from tests.workload.support import SMALL

pytest.importorskip("tensorflow", reason="tensorflow is not installed")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_training_reports_intervals_and_a_summary_and_learns(workload, dtype):
    run = workload(*SMALL, "--dtype", dtype, "--steps", 12, "--warmup-steps", 2, "--interval-steps", 4)
    assert [line["event"] for line in run.events] == ["start", "interval", "interval", "interval", "summary"]
    start, first, _, last, summary = run.events
    assert start["parameters"] == 511_514
    assert start["dtype"] == dtype
    assert start["global_batch_size"] == 8
    assert start["learning_rate"] == pytest.approx(0.1 * 8 / 256)
    assert {"cpu", "isa", "cores"} <= set(start["host"])
    assert [line["step"] for line in (first, last)] == [4, 12]
    assert last["loss"] < first["loss"]
    assert last["elapsed_s"] > first["elapsed_s"] > 0
    assert summary["final_loss"] == last["loss"]
    assert summary["images_per_second"] > 0
    assert summary["memory_mib"] > 50
    assert (summary["steps"], summary["warmup_steps"], summary["workers"], summary["engine"]) == (12, 2, 1, "local")


def test_without_onednn_it_says_so_and_tells_the_variable(workload, monkeypatch):
    """TensorFlow's own notice proposes it; bfloat16 is many times slower then."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    run = workload(*SMALL, "--steps", 2, "--warmup-steps", 1)
    assert any("TF_ENABLE_ONEDNN_OPTS=0 turns oneDNN off" in words for words in run.events[0]["warnings"])
    assert run.summary["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_the_same_seed_gives_the_same_losses(workload):
    runs = [workload(*SMALL, "--steps", 4, "--seed", seed, "--threads", 1) for seed in (3, 3, 4)]
    first, second, other = (run.summary["final_loss"] for run in runs)
    assert first == second != other


def test_a_resumed_run_ends_like_one_that_was_not_interrupted(workload, tmp_path):
    """Checkpoint at 6 of 9 steps, then --resume to 9; the schedule is constant in so short a run."""
    folder = tmp_path / "model"
    options = [*SMALL, "--threads", 1, "--warmup-steps", 1, "--learning-rate", 0.01]
    whole = workload(*options, "--steps", 12).summary
    workload(*options, "--steps", 12, "--checkpoint-steps", 6, "--model-dir", folder)
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-6"\n')
    resumed = workload(*options, "--steps", 12, "--model-dir", folder, "--resume")
    assert resumed.of("interval")[0]["step"] == 10
    assert resumed.summary["final_loss"] == pytest.approx(whole["final_loss"], rel=1e-4)


def test_a_fresh_start_does_not_overwrite_a_checkpoint(workload, tmp_path):
    assert workload(*SMALL, "--steps", 2, "--model-dir", tmp_path / "m").code == 0
    again = workload(*SMALL, "--steps", 2, "--model-dir", tmp_path / "m")
    assert again.code == 2
    assert "already holds a checkpoint; add --resume" in again.error


def test_a_loss_that_explodes_ends_the_run(workload):
    run = workload(*SMALL, "--steps", 60, "--learning-rate", 1e12)
    assert run.code == 1
    assert "the loss is" in run.error
    assert "--learning-rate" in run.error


def test_inference_tells_throughput_and_latency(workload):
    run = workload(*SMALL, "--mode", "infer", "--steps", 6, "--dtype", "bfloat16")
    assert run.summary["mode"] == "infer"
    assert run.summary["final_loss"] is None
    assert run.summary["images_per_second"] > 0
    latency = run.summary["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"]


def test_what_is_trained_is_exported_and_computes_the_same(workload, tmp_path):
    """The SavedModel, loaded in this process, classifies an image as its probabilities say."""
    import numpy as np
    import tensorflow as tf

    run = workload(*SMALL, "--steps", 3, "--export-dir", tmp_path / "exported")
    assert run.code == 0, run.stderr[-2000:]
    signature = tf.saved_model.load(str(tmp_path / "exported")).signatures["serving_default"]
    found = signature(images=tf.zeros([3, 32, 32, 3]))
    np.testing.assert_allclose(found["probabilities"].numpy().sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found["classes"].numpy(), found["probabilities"].numpy().argmax(1))


def test_lars_trains(workload):
    run = workload(*SMALL, "--steps", 12, "--interval-steps", 1, "--optimizer", "lars", "--learning-rate", 5)
    losses = [line["loss"] for line in run.of("interval")]
    assert losses[-1] < losses[0]


def test_tensorboard_events_and_the_best_checkpoint_are_written(workload, tmp_path):
    folder = tmp_path / "model"
    run = workload(*SMALL, "--steps", 3, "--model-dir", folder, "--evaluate")
    (evaluation,) = run.of("evaluation")
    assert evaluation["images"] == 8
    assert 0 <= evaluation["top_1"] <= evaluation["top_5"] <= 1
    assert list(folder.glob("events.out.tfevents.*"))
    assert (folder / "best" / "checkpoint").exists()


def test_a_resumed_run_does_not_replace_the_best_checkpoint_by_a_worse_one(tmp_path):
    import tensorflow.compat.v1 as tf

    from workload import checkpoint

    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("weight", [])
        session.run(tf.global_variables_initializer())
        checkpoint.Keeper(str(tmp_path)).offer(session, 1, 0.75)
        resumed = checkpoint.Keeper(str(tmp_path))
        resumed.offer(session, 2, 0.5)
        assert (tmp_path / "best/model.ckpt-1.index").exists()
        resumed.offer(session, 3, 0.8)
        assert tf.train.latest_checkpoint(str(tmp_path / "best")).endswith("model.ckpt-3")


def test_weights_of_inference_are_not_part_of_the_graph():
    """Of which TensorFlow makes a dozen copies."""
    import numpy as np
    import tensorflow.compat.v1 as tf

    from workload import infer

    weights = np.arange(1 << 16, dtype=np.float32)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        held = infer._held(weights)
        session.run(tf.local_variables_initializer())
        np.testing.assert_array_equal(session.run(held), weights)
        assert graph.as_graph_def().ByteSize() < weights.nbytes / 10
