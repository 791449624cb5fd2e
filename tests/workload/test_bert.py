"""BERT and its task: shapes, precision, learning, and every mode from the command line."""

import json

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed").compat.v1

from workload import bert, graph, kernels, optimizer, tasks, variables  # noqa: E402
from workload.config import Config  # noqa: E402
from workload.models import MODELS  # noqa: E402

CONFIG = Config(model="bert-tiny", batch_size=3, workers=1, sequence_length=16, steps=40).settled(None)
TINY = ["--model", "bert-tiny", "--sequence-length", "16", "--batch-size", "4"]


def shape_of(name):
    return bert.Shape(**MODELS[name].network)


def inputs(batch=2, length=16, valid=16):
    """Random tokens; what is beyond ``valid`` is padding."""
    ids = np.random.default_rng(0).integers(1000, 30522, (batch, length)).astype(np.int32)
    mask = np.tile(np.arange(length) < valid, (batch, 1)).astype(np.int32)
    return tf.constant(ids), tf.constant(mask * 0), tf.constant(mask)


@pytest.mark.parametrize(("name", "parameters"), [("bert-base", 108_893_186), ("bert-tiny", 4_369_666)])
def test_it_has_the_published_size(name, parameters):
    """BERT-base without its pooler (109 482 240 - 590 592), and with the head for spans (1 538)."""
    with tf.Graph().as_default():
        logits = bert.bert(inputs(), shape_of(name), bert.Variables(tf.float32))
        assert variables.parameter_count() == parameters
    assert logits.shape.as_list() == [2, 16, 2]


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_variables_and_logits_are_float32_and_products_as_asked(dtype):
    with tf.Graph().as_default() as built:
        logits = bert.bert(inputs(), shape_of("bert-tiny"), bert.Variables(dtype))
        assert {variable.dtype.base_dtype for variable in tf.global_variables()} == {tf.float32}
    assert logits.dtype == tf.float32
    products = [operation for operation in built.get_operations() if "MatMul" in operation.type]
    assert len(products) == 2 * 6 + 1
    assert {operation.outputs[0].dtype for operation in products} == {dtype}


def test_weight_decay_is_for_kernels_only():
    with tf.Graph().as_default():
        bert.bert(inputs(), shape_of("bert-tiny"), bert.Variables(tf.float32))
        kinds = {one.op.name.rsplit("/", 1)[1] for one in tf.trainable_variables() if variables.is_decayed(one)}
    assert kinds == {"kernel"}


def test_padding_changes_nothing():
    """The logits of the first six tokens do not depend on what stands behind the mask."""
    with tf.Graph().as_default(), tf.Session() as session:
        ids, segments, mask = inputs(valid=6)
        layers = bert.Variables(tf.float32)
        one = bert.bert((ids, segments, mask), shape_of("bert-tiny"), layers)
        layers = bert.Variables(tf.float32, reuse=True)
        other = bert.bert((ids * mask, segments, mask), shape_of("bert-tiny"), layers)
        session.run(tf.global_variables_initializer())
        one, other = session.run([one[:, :6], other[:, :6]])
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_bfloat16_is_within_its_rounding_of_float32_with_variables_and_with_constants():
    with tf.Graph().as_default(), tf.Session() as session:
        shape = shape_of("bert-tiny")
        wide = bert.bert(inputs(), shape, bert.Variables(tf.float32))
        narrow = bert.bert(inputs(), shape, bert.Variables(tf.bfloat16, reuse=True))
        session.run(tf.global_variables_initializer())
        values = session.run({variable.op.name: variable for variable in tf.global_variables()})
        layers = [bert.Constants(dtype, values, tf.constant) for dtype in (tf.float32, tf.bfloat16)]
        frozen = [bert.bert(inputs(), shape, one) for one in layers]
        expected, narrow, same, frozen = session.run([wide, narrow, *frozen])
    np.testing.assert_allclose(same, expected, atol=1e-5)
    scale = np.abs(expected).max()
    for found in (narrow, frozen):
        assert not np.array_equal(found, expected)
        np.testing.assert_allclose(found / scale, expected / scale, atol=0.05)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("name", ["biased_gelu", "scaled_softmax", "layer_norm"])
def test_fused_kernels_equal_plain_operations(name, dtype):
    """Values and gradients."""
    generator = np.random.default_rng(1)

    def random(*shape, kind=dtype):
        return tf.cast(tf.constant(generator.normal(size=shape), tf.float32), kind)

    with tf.Graph().as_default(), tf.Session() as session:
        if name == "biased_gelu":
            tensors = [random(6, 8), random(8)]
            found = kernels.biased_gelu(*tensors)
        elif name == "scaled_softmax":
            tensors = [random(2, 2, 4, 4), random(2, 1, 1, 4, kind=tf.float32)]
            found = kernels.scaled_softmax(*tensors, 0.5)
        else:
            tensors = [random(6, 8), random(8, kind=tf.float32), random(8, kind=tf.float32), random(8), random(6, 8)]
            found = kernels.layer_norm(*tensors[:3], tensors[3:])
        assert found.dtype == dtype
        weight = tf.constant(generator.normal(size=found.shape), tf.float32)
        ours = [found, *tf.gradients(tf.reduce_sum(tf.cast(found, tf.float32) * weight), tensors)]
        assert [one.dtype for one in ours[1:]] == [tensor.dtype for tensor in tensors]
        wide = [tf.cast(tensor, tf.float32) for tensor in tensors]
        if name == "biased_gelu":
            expected = tf.keras.activations.gelu(wide[0] + wide[1], approximate=True)
        elif name == "scaled_softmax":
            expected = tf.nn.softmax(wide[0] * 0.5 + wide[1])
        else:
            total = wide[0] + wide[3] + wide[4]
            mean, variance = tf.nn.moments(total, [-1], keepdims=True)
            expected = (total - mean) / tf.sqrt(variance) * wide[1] + wide[2]
        theirs = [expected, *tf.gradients(tf.reduce_sum(expected * weight), wide)]
        for one, other in zip(*session.run([ours, theirs]), strict=True):
            scale = np.abs(other).max()
            tolerance = 1e-5 if dtype == tf.float32 else 2e-2
            np.testing.assert_allclose(one.astype(np.float32) / scale, other / scale, atol=tolerance)


def test_an_answer_counts_when_both_ends_are_right():
    logits = np.zeros([3, 16, 2], np.float32)
    for row, (first, last) in enumerate([(2, 5), (2, 6), (9, 9)]):
        logits[row, first, 0] = logits[row, last, 1] = 2
    logits[:, 1:5] += 1  # the other four of the likeliest
    logits[1, 5, 1] = 1.5
    with tf.Graph().as_default(), tf.Session() as session:
        labels = tf.constant([[2, 5], [2, 5], [15, 15]])
        assert session.run(tasks.of(CONFIG).correct(tf.constant(logits), labels)) == [1, 2, 3]


def test_adamw_decays_kernels_beside_the_gradient():
    """With a gradient of zero Adam moves nothing: a kernel shrinks by rate times decay, a bias stays."""
    with tf.Graph().as_default(), tf.Session() as session:
        pair = [tf.get_variable(name, initializer=tf.ones([2]), use_resource=True) for name in ("kernel", "bias")]
        update = optimizer.AdamW(0.1, 0.5)
        step = update.apply_gradients([(tf.zeros([2]), one) for one in pair])
        session.run(tf.global_variables_initializer())
        session.run(step)
        kernel, bias = session.run(pair)
    np.testing.assert_allclose(kernel, 0.95, rtol=1e-6)
    np.testing.assert_array_equal(bias, 1)


def test_the_rate_rises_and_falls_linearly():
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = optimizer.linear_rate(1.0, step, 100)
        found = [session.run(rate, {step: at}) for at in (0, 4, 9, 55, 100)]
    assert found == pytest.approx([0.1, 0.5, 1.0, 0.5, 0.0], abs=1e-6)


def test_gradients_are_clipped_to_a_norm_of_one():
    with tf.Graph().as_default(), tf.Session() as session:
        pairs = optimizer.clipped([(tf.constant([3.0]), 0), (tf.constant([4.0]), 1)])
        found = session.run([value for value, _ in pairs])
    assert np.concatenate(found) == pytest.approx([0.6, 0.8])


def test_gradients_are_dense_so_that_workers_can_add_them_up():
    """The word table's as well, which TensorFlow makes sparse."""
    seen = []

    class Ring:
        size = 2

    def reduced(gradients, loss, ring):
        seen.extend(gradients)
        return gradients, loss, None

    with tf.Graph().as_default(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "all_reduced", reduced)
        graph.Training(CONFIG, tasks.of(CONFIG).batch(0, training=True), Ring())
    assert seen
    assert all(gradient.shape.as_list() == variable.shape.as_list() for gradient, variable in seen)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_training_learns(workload, dtype):
    options = ["--dtype", dtype, "--steps", 24, "--interval-steps", 8, "--learning-rate", 1e-3]
    run = workload(*TINY, *options)
    assert run.of("start")[0]["parameters"] == 4_369_666
    assert run.summary["model"] == "bert-tiny"
    losses = [line["loss"] for line in run.of("interval")]
    assert losses[-1] < 0.7 * losses[0]


def test_training_evaluates_resumes_and_exports_and_inference_takes_the_weights(workload, tmp_path):
    folder = tmp_path / "model"
    first = workload(*TINY, "--steps", 3, "--model-dir", folder, "--evaluate")
    assert first.of("evaluation")[0]["images"] == 4
    again = workload(
        *TINY,
        "--steps",
        6,
        "--warmup-steps",
        1,
        "--model-dir",
        folder,
        "--resume",
        "--export-dir",
        tmp_path / "exported",
    )
    assert again.code == 0, (again.events, again.stderr[-2000:])
    signature = __import__("tensorflow").saved_model.load(str(tmp_path / "exported")).signatures["serving_default"]
    zeros = __import__("tensorflow").zeros([3, 16], "int32")
    found = signature(input_ids=zeros, segment_ids=zeros, input_mask=zeros + 1)
    assert found["start_logits"].shape == (3, 16)
    inferred = workload(*TINY, "--mode", "infer", "--dtype", "bfloat16", "--steps", 3, "--model-dir", folder)
    assert inferred.summary["images_per_second"] > 0
    assert inferred.summary["latency_ms"]["p99"] > 0


def test_it_trains_on_squads_json(workload, tmp_path):
    from tests.workload.test_squad import SAMPLE

    for split in ("train", "dev"):
        (tmp_path / f"{split}-v1.1.json").write_text(json.dumps(SAMPLE))
    options = ["--data", tmp_path, "--sequence-length", 32, "--batch-size", 2, "--evaluate"]
    run = workload("--model", "bert-tiny", *options, "--epochs", 3, "--learning-rate", 1e-3)
    assert run.summary["steps"] == 3
    assert [line["images"] for line in run.of("evaluation")] == [3, 3, 3], "the last batch is a short one"
