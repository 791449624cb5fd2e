"""Training: graph, session loop, checkpoints. The same code runs in one process and in each Spark task."""

import math
import os
import time

import numpy as np
import tensorflow.compat.v1 as tf

from workload import data, model, optimizer, session
from workload.collective import GradientReducer
from workload.errors import UsageError, WorkloadError

_BUCKET_BYTES = 16 << 20


def run(config, emit, rank=0, ring=None):
    """Train as told and return this worker's part of the summary.

    Args:
        config: the Config.
        emit: called with ``event, **fields`` for each line.
        rank: this worker's number.
        ring: the Ring to the other workers; None when there are none.

    Returns:
        ``{"timed_steps", "elapsed_s", "final_loss"}``.

    Raises:
        WorkloadError: the loss is not finite, the data cannot be read, or a worker was lost.
    """
    checkpoint = _checkpoint_to_resume(config) if rank == 0 else None
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(config.seed)
        pictures, labels = data.batches(config, rank, training=True)
        training = _Training(config, ring, pictures, labels)
        emit("start", **session.start_fields(config, model.parameter_count()))
        try:
            with tf.Session(graph=graph, config=session.settings(config)) as running:
                running.run([tf.local_variables_initializer(), tf.global_variables_initializer()])
                running.run(tf.tables_initializer())
                if checkpoint:
                    training.saver.restore(running, checkpoint)
                if ring:
                    _broadcast(running, ring)
                graph.finalize()
                result = _loop(config, running, training, emit)
                if rank == 0 and config.model_dir:
                    _save(config, running, training)
        except tf.errors.OpError:
            if training.reducer and training.reducer.error:
                raise training.reducer.error from None
            raise
        finally:
            if training.reducer:
                training.reducer.close()
    return result


class _Training(object):
    """The training graph's handles: ``step`` (run it to train), ``loss``, ``global_step``, ``saver``, ``reducer``."""

    def __init__(self, config, ring, pictures, labels):
        logits = model.resnet(
            pictures, config.classes, tf.as_dtype(config.dtype), model.Variables(training=True), config.model
        )
        loss = optimizer.cross_entropy(logits, labels, config.label_smoothing)
        self.global_step = tf.train.get_or_create_global_step()
        rate = optimizer.learning_rate(config.base_learning_rate, self.global_step, config.steps)
        update = optimizer.momentum(rate)
        gradients = update.compute_gradients(loss)
        self.reducer = None
        self.loss = loss
        if ring:
            gradients, self.reducer, self.loss = _all_reduced(gradients, loss, ring)
        gradients = optimizer.decayed(gradients, config.weight_decay)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            self.step = update.apply_gradients(gradients, self.global_step)
        self.saver = tf.train.Saver(max_to_keep=3)


def _all_reduced(gradients, loss, ring):
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
    return list(reversed(reduced)), reducer, means[-1]


def _buckets(tensors):
    buckets, size = [[]], 0
    for tensor in tensors:
        if size > _BUCKET_BYTES:
            buckets.append([])
            size = 0
        buckets[-1].append(tensor)
        size += 4 * tensor.shape.num_elements()
    return buckets


def _broadcast(running, ring):
    """Give every worker rank 0's variables: what it initialised or restored."""
    variables = tf.global_variables()
    values = []
    for value in running.run(variables):
        value = np.ascontiguousarray(value) if np.ndim(value) else np.array([value])
        ring.broadcast(value)
        values.append(value)
    feeds = {
        variable.initializer.inputs[1]: value.reshape(variable.shape.as_list())
        for variable, value in zip(variables, values)
    }
    running.run([variable.initializer for variable in variables], feeds)


def _loop(config, running, training, emit):
    """Steps up to ``config.steps`` in all; the first ``warmup_steps`` of this run are not timed."""
    first = int(running.run(training.global_step))
    began = marked = time.time()
    timed_from, loss, since = None, None, 0
    for step in range(first + 1, config.steps + 1):
        _, loss = running.run([training.step, training.loss])
        loss = float(loss)
        now = time.time()
        since += 1
        if not math.isfinite(loss):
            raise WorkloadError(
                "the loss is %s at step %d; try a --learning-rate below %g" % (loss, step, config.base_learning_rate)
            )
        if step - first == config.warmup_steps:
            timed_from = now
        if step % config.interval_steps == 0 or step == config.steps:
            rate = since * config.global_batch_size / (now - marked)
            emit(
                "interval",
                step=step,
                loss=round(loss, 6),
                images_per_second=round(rate, 3),
                elapsed_s=round(now - began, 3),
            )
            marked, since = time.time(), 0
    if timed_from is None:
        timed_from = began
    return {
        "timed_steps": config.steps - first - config.warmup_steps,
        "elapsed_s": now - timed_from,
        "final_loss": round(loss, 6),
    }


def _checkpoint_to_resume(config):
    """The checkpoint to go on from, or None for a fresh start.

    Raises:
        UsageError: ``--resume`` has nothing to resume or nothing left to do, or a fresh start would overwrite a
            checkpoint.
    """
    found = tf.train.latest_checkpoint(config.model_dir) if config.model_dir else None
    if not config.resume:
        if found:
            raise UsageError("%s already holds a checkpoint; add --resume or name another folder" % config.model_dir)
        return None
    if not found:
        raise UsageError("--resume found no checkpoint in %s" % config.model_dir)
    step = int(found.rsplit("-", 1)[1])
    if step + config.warmup_steps >= config.steps:
        raise UsageError(
            "the checkpoint in %s is at step %d; --steps %d leaves none to time after %d warm-up steps"
            % (config.model_dir, step, config.steps, config.warmup_steps)
        )
    return found


def _save(config, running, training):
    tf.gfile.MakeDirs(config.model_dir)
    training.saver.save(running, os.path.join(config.model_dir, "model.ckpt"), training.global_step)
