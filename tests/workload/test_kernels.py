"""The compiled kernels compute what TensorFlow's own do, values and gradients."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed").compat.v1

from workload import kernels  # noqa: E402

SHAPE = (4, 6, 6, 8)


def tensors(dtype):
    """Input, shortcut and two weights for the loss, of that type; gamma and beta in float32."""
    generator = np.random.default_rng(0)
    like = [tf.cast(tf.constant(generator.normal(size=SHAPE), tf.float32), dtype) for _ in range(4)]
    gamma = tf.constant(generator.uniform(0.5, 1.5, SHAPE[-1]), tf.float32)
    return [*like, gamma, tf.constant(generator.normal(size=SHAPE[-1]), tf.float32)]


def weighed(results, weights):
    """A loss that gives each result its own gradient."""
    return sum(tf.reduce_sum(tf.cast(one * weight, tf.float32)) for one, weight in zip(results, weights))


def compared(session, ours, theirs, tolerance):
    """Each of our values against the float32 reference, relative to the largest of its kind."""
    for found, expected in zip(*session.run([ours, theirs])):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found.astype(np.float32) / scale, expected / scale, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("form", ["plain", "relu", "shortcut"])
def test_batch_norm_equals_the_separate_operations(dtype, form):
    """In bfloat16, too, within the type's rounding of what float32 computes from the same inputs."""
    with tf.Graph().as_default(), tf.Session() as session:
        net, shortcut, *weights, gamma, beta = tensors(dtype)
        inputs = [net, gamma, beta] + ([shortcut] if form == "shortcut" else [])
        results, *statistics = kernels.batch_norm(
            net, gamma, beta, relu=form == "relu", shortcut=shortcut if form == "shortcut" else None
        )
        assert len(results) == (2 if form == "shortcut" else 1)
        assert results[0].dtype == dtype
        gradients = tf.gradients(weighed(results, weights), inputs)
        assert [gradient.dtype for gradient in gradients] == [tensor.dtype for tensor in inputs]

        net, shortcut, *weights = [tf.cast(tensor, tf.float32) for tensor in (net, shortcut, *weights)]
        inputs = [net, gamma, beta] + ([shortcut] if form == "shortcut" else [])
        plain, *plain_statistics = tf.nn.fused_batch_norm(net, gamma, beta, epsilon=kernels.EPSILON)
        plain = plain + shortcut if form == "shortcut" else plain
        plain = plain if form == "plain" else tf.nn.relu(plain)
        expected = tf.gradients(weighed([plain] * len(results), weights), inputs)
        compared(
            session,
            [results[0], *statistics, *gradients],
            [plain, *plain_statistics, *expected],
            1e-5 if dtype == "float32" else 1e-2,
        )


def test_statistics_of_a_channel_far_from_zero_stay_exact():
    """E[x^2] - E[x]^2 in float32, partial sums included, for a mean ten times the deviation."""
    values = np.random.default_rng(2).normal(10.0, 1.0, size=(32, 14, 14, 64)).astype(np.float32)
    ones, zeros = np.ones(64, np.float32), np.zeros(64, np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        _, mean, variance = session.run(kernels.batch_norm(tf.constant(values), ones, zeros, relu=False))
    flat = values.reshape(-1, 64).astype(np.float64)
    np.testing.assert_allclose(mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, flat.var(0, ddof=1), rtol=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pointwise_convolution_has_the_convolutions_gradients(dtype, stride):
    generator = np.random.default_rng(1)
    with tf.Graph().as_default(), tf.Session() as session:
        net = tf.cast(tf.constant(generator.normal(size=SHAPE), tf.float32), dtype)
        kernel = tf.cast(tf.constant(generator.normal(size=(1, 1, 8, 5)), tf.float32), dtype)
        ours = kernels.pointwise_convolution(net, kernel, stride)
        weight = tf.constant(generator.choice([-1.0, 0.5, 2.0], ours.shape.as_list()), tf.float32)
        found = [ours, *tf.gradients(tf.reduce_sum(tf.cast(ours, tf.float32) * weight), [net, kernel])]
        net, kernel = (tf.cast(tensor, tf.float32) for tensor in (net, kernel))
        theirs = tf.nn.conv2d(net, kernel, [1, stride, stride, 1], "VALID")
        expected = [theirs, *tf.gradients(tf.reduce_sum(theirs * weight), [net, kernel])]
        compared(session, found, expected, 1e-5 if dtype == "float32" else 1e-2)


def test_they_are_used_in_bfloat16_only():
    assert kernels.pay_off(tf.bfloat16)
    assert not kernels.pay_off(tf.float32)
