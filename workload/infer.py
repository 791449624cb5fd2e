"""Inference: the model frozen to weights of the compute dtype, batch normalisation folded into the convolutions.

Workers do not talk to each other here; their throughputs add up.
"""

import time

import numpy as np
import tensorflow.compat.v1 as tf

from workload import session, tasks
from workload.config import SYNTHETIC
from workload.errors import UsageError
from workload.variables import parameter_count

_LATENCY_RUNS = 50


def run(config, emit, rank=0):
    """Time ``config.steps`` batches, then batches of one; arguments and result are ``worker.run``'s.

    The weights are those of the newest checkpoint in ``config.model_dir``, else freshly initialised ones, which cost
    the same time.
    """
    config = config.settled(None)
    notes = tasks.of(config).check()
    weights, parameters = _weights(config)
    emit("start", **session.start_fields(config, parameters, notes))
    with tf.Graph().as_default() as graph:
        task = tasks.of(config)
        layers = task.constants(weights, _held)
        batch = task.batch(rank, training=True)
        one = tasks.of(config._replace(batch_size=1, data=SYNTHETIC)).batch(rank, training=True)
        logits, single = (task.logits(inputs, layers) for inputs in (batch.inputs, one.inputs))
        with tf.Session(graph=graph, config=session.settings(config)) as running:
            running.run([tf.local_variables_initializer(), batch.initializer])
            elapsed = _throughput(config, running.make_callable(tf.argmax(logits, 1).op), emit)
            latency = _latency(running.make_callable(tf.argmax(single, 1).op))
    if config.export_dir and rank == 0:
        export(config, weights)
    return {
        "steps": config.steps,
        "warmup_steps": config.warmup_steps,
        "timed_steps": config.steps - config.warmup_steps,
        "elapsed_s": elapsed,
        "final_loss": None,
        "latency_ms": latency,
    }


def export(config, weights):
    """Write a SavedModel to ``config.export_dir``; its inputs and outputs are named by the task.

    Images are float32 [N, size, size, 3], normalised as ``images.decode`` makes them; texts are int32 tokens.

    Raises:
        UsageError: the folder exists already.
    """
    if tf.gfile.Exists(config.export_dir):
        raise UsageError("--export-dir %s exists already; a SavedModel is written to a new folder" % config.export_dir)
    with tf.Graph().as_default(), tf.Session(config=session.settings(config)) as running:
        task = tasks.of(config)
        named, inputs = task.placeholders()
        outputs = task.answers(task.logits(inputs, task.constants(weights, tf.constant)))
        tf.saved_model.simple_save(running, config.export_dir, named, outputs)


def _held(array):
    """A tensor that is kept in a variable.

    A constant is part of the graph, of which TensorFlow makes a dozen copies: with BERT's weights 6 GB of them.
    """

    def initial():
        value = tf.py_func(lambda: array, [], tf.as_dtype(array.dtype))
        value.set_shape(array.shape)
        return value

    local = dict(trainable=False, use_resource=True, collections=[tf.GraphKeys.LOCAL_VARIABLES])
    return tf.Variable(initial, dtype=tf.as_dtype(array.dtype), **local).read_value()


def values(task, running):
    """``{variable name: array}`` of the model in that session, as the task's ``constants`` takes it."""
    variables = [one for one in tf.global_variables() if one.op.name.startswith(task.SCOPE + "/")]
    variables = [one for one in variables if "/Adam" not in one.op.name and "/Momentum" not in one.op.name]
    return dict(zip([variable.op.name for variable in variables], running.run(variables)))


def _weights(config):
    """``({variable name: array}, number of parameters)`` of the model to run."""
    checkpoint = tf.train.latest_checkpoint(config.model_dir) if config.model_dir else None
    if config.model_dir and not checkpoint:
        raise UsageError("no checkpoint in %s; train there first, or leave --model-dir out" % config.model_dir)
    with tf.Graph().as_default(), tf.Session(config=session.settings(config)) as running:
        tf.set_random_seed(config.seed)
        task = tasks.of(config._replace(dtype="float32"))
        task.logits(task.placeholders()[1], task.variables(training=False))
        if checkpoint:
            tf.train.Saver().restore(running, checkpoint)
        else:
            running.run(tf.global_variables_initializer())
        return values(task, running), parameter_count()


def _throughput(config, infer, emit):
    """Seconds for the timed batches."""
    began = marked = timed_from = time.time()
    for step in range(1, config.steps + 1):
        infer()
        now = time.time()
        if step == config.warmup_steps:
            timed_from = now
        if step % config.interval_steps == 0 or step == config.steps:
            done = (step - 1) % config.interval_steps + 1
            emit(
                "interval",
                step=step,
                loss=None,
                images_per_second=round(done * config.global_batch_size / (now - marked), 3),
                elapsed_s=round(now - began, 3),
            )
            marked = time.time()
    return now - timed_from


def _latency(infer):
    """Milliseconds for a batch of one: ``{"p50", "p90", "p99"}``."""
    times = []
    for _ in range(_LATENCY_RUNS + 5):
        began = time.time()
        infer()
        times.append((time.time() - began) * 1e3)
    shown = (50, 90, 99)
    return {"p%d" % share: round(value, 3) for share, value in zip(shown, np.percentile(times[5:], shown))}
