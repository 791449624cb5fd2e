"""Loss, schedule, decay and LARS against formulas written out in numpy."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed").compat.v1

from workload import optimizer  # noqa: E402


def evaluated(build):
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = build()
        session.run(tf.global_variables_initializer())
        return session.run(tensors)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing):
    logits = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    labels = np.array([0, 4, 2, 2], np.int32)
    targets = np.eye(5)[labels] * (1 - smoothing) + smoothing / 5
    log_softmax = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    found = evaluated(lambda: optimizer.cross_entropy(tf.constant(logits), tf.constant(labels), smoothing))
    assert found == pytest.approx(-(targets * log_softmax).sum(1).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0, 0.2 / 500),
        (2.5, 0.1),
        (5, 0.2),
        (29.9, 0.2),
        (30, 0.02),
        (60, 0.002),
        (80, 0.0002),
        (89, 0.0002),
    ],
)
def test_the_schedule_of_90_epochs_is_the_usual_one(epoch, rate):
    """Five epochs of warm-up, then divided by ten at 30, 60 and 80; 100 steps an epoch here."""
    step = round(epoch * 100)
    found = evaluated(lambda: optimizer.learning_rate(0.2, tf.constant(step, tf.int64), 9000))
    assert found == pytest.approx(rate, rel=5e-3)


def test_a_short_run_starts_at_the_full_rate():
    assert evaluated(lambda: optimizer.learning_rate(0.2, tf.constant(0, tf.int64), 10)) == pytest.approx(0.2)


def pairs():
    """A kernel and a bias, each with a gradient."""
    kernel = tf.get_variable("a/kernel", initializer=np.array([[3.0, 4.0]], np.float32))
    bias = tf.get_variable("a/bias", initializer=np.array([1.0, 1.0], np.float32))
    return [(tf.constant([[0.0, 1.0]]), kernel), (tf.constant([2.0, 2.0]), bias)]


def test_decay_adds_to_kernels_only():
    kernel, bias = evaluated(lambda: [gradient for gradient, _ in optimizer.decayed(pairs(), 0.1)])
    np.testing.assert_allclose(kernel, [[0.3, 1.4]], rtol=1e-6)
    np.testing.assert_allclose(bias, [2, 2])


def test_lars_scales_a_kernels_gradient_to_its_own_norm():
    kernel, bias = evaluated(lambda: [gradient for gradient, _ in optimizer.lars(pairs(), 0.1)])
    decayed = np.array([[0.3, 1.4]])
    np.testing.assert_allclose(kernel, decayed * 0.001 * 5 / np.linalg.norm(decayed), rtol=1e-5)
    np.testing.assert_allclose(bias, [2, 2])
