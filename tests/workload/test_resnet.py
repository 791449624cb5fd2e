"""The network and the paper's precision scheme."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed").compat.v1

from workload import resnet, variables  # noqa: E402
from workload.models import MODELS  # noqa: E402


def built(name="resnet14", size=32, classes=10, dtype="float32", training=True, batch=2):
    """``(graph, logits)`` of a model over random images."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        images = tf.constant(np.random.default_rng(0).normal(size=(batch, size, size, 3)), tf.float32)
        logits = resnet.resnet(images, classes, tf.as_dtype(dtype), resnet.Variables(training), **MODELS[name].network)
    return graph, logits


def shape_of(graph, name):
    return graph.get_tensor_by_name(f"resnet_model/{name}:0").shape.as_list()


def test_resnet_50_has_the_published_number_of_parameters():
    graph, logits = built("resnet50", 224, 1000)
    with graph.as_default():
        assert variables.parameter_count() == 25_557_032
    assert logits.shape.as_list() == [2, 1000]


def test_version_1_5_strides_in_the_3x3_convolution():
    graph, _ = built("resnet50", 224)
    strides = {
        operation.name.split("/")[-2]: operation.get_attr("strides")[1:3]
        for operation in graph.get_operations()
        if operation.type == "Conv2D" and "stage2_block1" in operation.name
    }
    assert strides == {"conv1": [1, 1], "conv2": [2, 2], "conv3": [1, 1], "shortcut": [2, 2]}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_variables_and_logits_are_float32_and_activations_as_asked(dtype):
    graph, logits = built(dtype=dtype)
    assert logits.dtype == tf.float32
    with graph.as_default():
        assert {variable.dtype.base_dtype for variable in tf.global_variables()} == {tf.float32}
    for operation in graph.get_operations():
        if operation.type in ("Conv2D", "Relu", "MaxPool", "MatMul"):
            assert operation.outputs[0].dtype == dtype, operation.name
        if operation.type.startswith("FusedBatchNorm"):
            assert operation.outputs[0].dtype == dtype
            assert operation.outputs[1].dtype == tf.float32, "statistics stay float32"


def test_the_layout_is_the_one_that_is_fast_on_cpus():
    graph, _ = built()
    formats = {op.get_attr("data_format") for op in graph.get_operations() if op.type in ("Conv2D", "FusedBatchNormV3")}
    assert formats == {b"NHWC"}


def test_weight_decay_leaves_batch_normalisation_and_biases_alone():
    graph, _ = built()
    with graph.as_default():
        kinds = {one.op.name.rsplit("/", 1)[1]: variables.is_decayed(one) for one in tf.trainable_variables()}
    assert kinds == {"kernel": True, "gamma": False, "beta": False, "bias": False}


def test_moving_statistics_follow_the_batches():
    graph, logits = built()
    with graph.as_default(), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        mean = graph.get_tensor_by_name("resnet_model/stem/moving_mean/Read/ReadVariableOp:0")
        assert not np.any(session.run(mean))
        session.run([logits, tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
        assert np.any(session.run(mean))


def test_folded_constants_compute_what_the_variables_do():
    """With statistics and scales that are not the initial ones, and the same padding at every stride."""
    graph, logits = built(training=False)
    generator = np.random.default_rng(3)
    with graph.as_default(), tf.Session() as session:
        trained = tf.global_variables()
        feeds = {
            variable.initializer.inputs[1]: generator.uniform(0.5, 1.5, variable.shape.as_list()) * 0.1
            for variable in trained
        }
        session.run([variable.initializer for variable in trained], feeds)
        expected, values = session.run([logits, {variable.op.name: variable for variable in trained}])
        images = graph.get_tensor_by_name("Const:0")
        folded = resnet.resnet(images, 10, tf.float32, resnet.Folded(values, tf.constant), **MODELS["resnet14"].network)
        assert not [op for op in graph.get_operations() if "Norm" in op.type and op.name.startswith("Folded")]
        np.testing.assert_allclose(session.run(folded), expected, rtol=2e-3)
