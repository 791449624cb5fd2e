"""What the workers agree on: gradients, statistics, counts. Workers are threads with real rings here."""

from concurrent import futures

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed").compat.v1

from tests.workload.test_collective import rings  # noqa: E402
from workload import graph, optimizer, resnet  # noqa: E402
from workload.config import Config  # noqa: E402
from workload.data import Batch  # noqa: E402
from workload.models import MODELS  # noqa: E402

CONFIG = Config(model="resnet14", image_size=16, classes=10, batch_size=4, workers=2, steps=10, warmup_steps=0)


@pytest.fixture
def two_rings():
    made = rings(2)
    yield made
    for ring in made:
        ring.close()


def together(call):
    """Call with 0 and with 1 side by side."""
    with futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(call, range(2)))


def sample(count):
    generator = np.random.default_rng(7)
    images = generator.normal(size=(count, 16, 16, 3)).astype(np.float32)
    return images, generator.integers(0, 10, count).astype(np.int32)


def frozen_gradients(images, labels):
    """``(gradients, loss)`` with batch normalisation on its stored statistics, so that images do not influence each
    other and a split batch can be compared with the whole one."""
    tf.set_random_seed(5)
    logits = resnet.resnet(
        tf.constant(images), 10, tf.float32, resnet.Variables(training=False), **MODELS["resnet14"].network
    )
    loss = optimizer.cross_entropy(logits, tf.constant(labels), 0.1)
    return optimizer.momentum(0.1).compute_gradients(loss), loss


def test_all_reduced_gradients_equal_those_of_one_process_with_the_global_batch(two_rings, monkeypatch):
    """To 1e-5 in float32, in several buckets, the loss included."""
    monkeypatch.setattr(graph, "_BUCKET_BYTES", 100_000)
    images, labels = sample(8)
    with tf.Graph().as_default(), tf.Session() as session:
        pairs, loss = frozen_gradients(images, labels)
        session.run(tf.global_variables_initializer())
        expected, expected_loss = session.run([[gradient for gradient, _ in pairs], loss])
        variables = session.run(tf.global_variables())

    def worker(rank):
        with tf.Graph().as_default(), tf.Session() as session:
            own = slice(4 * rank, 4 * rank + 4)
            pairs, loss = graph.all_reduced(*frozen_gradients(images[own], labels[own]), two_rings[rank])[:2]
            graph._assign(session, tf.global_variables(), variables)
            return session.run([[gradient for gradient, _ in pairs], loss])

    for gradients, loss in together(worker):
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        for ours, theirs in zip(gradients, expected):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_workers_start_alike_and_stay_alike(two_rings):
    """Different initial values and different data: after the broadcast and two steps all trained values are equal."""

    def worker(rank):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(rank)
            images, labels = sample(4 * (rank + 1))
            batch = Batch(tf.constant(images[-4:]), tf.constant(labels[-4:]), None, None)
            training = graph.Training(CONFIG, batch, two_rings[rank])
            session.run(tf.global_variables_initializer())
            training.broadcast(session)
            losses = [session.run([training.loss, training.step])[0] for _ in range(2)]
            before = session.run(training._statistics)
            training.average_statistics(session)
            return losses, session.run(tf.trainable_variables()), before, session.run(training._statistics)

    (losses, variables, before, after), (other_losses, other_variables, other_before, other_after) = together(worker)
    assert losses == other_losses, "the loss is the mean over all workers"
    for one, other in zip(variables, other_variables):
        np.testing.assert_array_equal(one, other)
    assert any(np.any(one != other) for one, other in zip(before, other_before)), "each keeps its own statistics"
    for one, other, mean, other_mean in zip(before, other_before, after, other_after):
        np.testing.assert_allclose(mean, (one + other) / 2, rtol=1e-5)
        np.testing.assert_array_equal(mean, other_mean)


def test_counts_are_summed_over_the_workers(two_rings):
    def worker(rank):
        with tf.Graph().as_default():
            images, labels = sample(4)
            batch = Batch(tf.constant(images), tf.constant(labels), None, None)
            return graph.Training(CONFIG, batch, two_rings[rank]).total([1 + rank, 50000, 3])

    assert together(worker) == [[3, 100000, 6]] * 2


def test_a_worker_alone_counts_for_itself():
    with tf.Graph().as_default():
        images, labels = sample(4)
        training = graph.Training(CONFIG, Batch(tf.constant(images), tf.constant(labels), None, None), None)
        assert training.total([1, 2]) == [1, 2]
        assert training.error is None
