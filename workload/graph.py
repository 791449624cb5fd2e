"""The training graph: loss, gradients, their all-reduce, the update; and the evaluation tower beside it."""

import numpy as np
import tensorflow.compat.v1 as tf

from workload import tasks
from workload.collective import GradientReducer

_BUCKET_BYTES = 16 << 20


class Training(object):
    """Handles of the training graph, built in the default graph.

    ``step`` trains one batch; ``loss`` (mean over all workers) and ``rate`` describe it; ``global_step`` counts.

    Args:
        config: the Config, ``steps`` and ``workers`` settled.
        batch: the training ``Batch``.
        ring: the Ring to the other workers, or None.
    """

    def __init__(self, config, batch, ring):
        task = tasks.of(config)
        logits = task.logits(batch.inputs, task.variables(training=True))
        self.loss = task.loss(logits, batch.labels)
        self.global_step = tf.train.get_or_create_global_step()
        self.rate, update, prepare = task.update(self.global_step)
        self._ring, self._reducer = ring, None
        gradients = [(tf.convert_to_tensor(each), variable) for each, variable in update.compute_gradients(self.loss)]
        if ring:
            gradients, self.loss, self._reducer = all_reduced(gradients, self.loss, ring)
        gradients = prepare(gradients)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            self.step = update.apply_gradients(gradients, self.global_step)
        self._statistics = [variable for variable in tf.global_variables() if "moving_" in variable.op.name]

    @property
    def error(self):
        """What ended the all-reduce, None while all is well."""
        return self._reducer.error if self._reducer else None

    def close(self):
        """End the connections to the other workers."""
        if self._reducer:
            self._reducer.close()

    def broadcast(self, session):
        """Give every worker rank 0's variables: what it initialised or restored."""
        if not self._ring:
            return
        variables = tf.global_variables()
        values = [np.array(value, ndmin=1) for value in session.run(variables)]
        for value in values:
            self._ring.broadcast(value)
        _assign(session, variables, values)

    def average_statistics(self, session):
        """Give every worker the mean of all workers' moving statistics, which each keeps from its own batches."""
        if not self._ring or not self._statistics:
            return
        values = session.run(self._statistics)
        flat = np.concatenate(values)
        self._ring.all_reduce_mean(flat)
        _assign(session, self._statistics, np.split(flat, np.cumsum([len(value) for value in values])[:-1]))

    def total(self, counts):
        """Element-wise sums of the counts over all workers."""
        values = np.array(counts, np.float32)
        if self._ring:
            self._ring.all_reduce_mean(values)
            values *= self._ring.size
        return [int(round(value)) for value in values]


class Evaluation(object):
    """The evaluation tower over the same variables: ``correct`` gives ``[top-1, top-5, number]`` of a batch."""

    def __init__(self, config, batch):
        task = tasks.of(config)
        logits = task.logits(batch.inputs, task.variables(training=False, reuse=True))
        self.correct = task.correct(logits, batch.labels)


def all_reduced(gradients, loss, ring):
    """The mean gradients and the mean loss over all workers, and the reducer that makes them."""
    # The backward pass makes the last layers' gradients first, so they travel first; the loss goes with the last.
    order = list(reversed(gradients))
    buckets = _buckets([gradient for gradient, _ in order] + [loss])
    reducer = GradientReducer(ring, [[tensor.shape.as_list() for tensor in bucket] for bucket in buckets])
    submitted = [
        tf.py_func(lambda *arrays, number=number: reducer.submit(number, arrays), bucket, [], stateful=True)
        for number, bucket in enumerate(buckets)
    ]
    flat = [tensor for bucket in buckets for tensor in bucket]
    with tf.control_dependencies(submitted):
        means = tf.py_func(reducer.wait, [], [tf.float32] * len(flat), stateful=True)
    for mean, tensor in zip(means, flat):
        mean.set_shape(tensor.shape)
    reduced = [(mean, variable) for mean, (_, variable) in zip(means, order)]
    return list(reversed(reduced)), means[-1], reducer


def _buckets(tensors):
    buckets, size = [[]], 0
    for tensor in tensors:
        if size > _BUCKET_BYTES:
            buckets.append([])
            size = 0
        buckets[-1].append(tensor)
        size += 4 * tensor.shape.num_elements()
    return buckets


def _assign(session, variables, values):
    feeds = {
        variable.initializer.inputs[1]: value.reshape(variable.shape.as_list())
        for variable, value in zip(variables, values)
    }
    session.run([variable.initializer for variable in variables], feeds)
