"""Inference: the model frozen to constants, batch normalisation folded into the convolutions.

Workers do not talk to each other here; their throughputs add up.
"""

import time

import numpy as np
import tensorflow.compat.v1 as tf

from workload import data, model, session
from workload.errors import UsageError

_LATENCY_RUNS = 30


def run(config, emit, rank=0):
    """Time ``config.steps`` batches, then single images; arguments and result are ``session.run``'s.

    The weights are those of the newest checkpoint in ``config.model_dir``, else freshly initialised ones, which cost
    the same time.
    """
    values, parameters = _weights(config)
    emit("start", **session.start_fields(config, parameters))
    with tf.Graph().as_default() as graph:
        layers = model.Folded(values)
        batch, _ = data.batches(config, rank, training=True)
        one, _ = data.synthetic(config._replace(batch_size=1), rank)
        logits, single = (
            model.resnet(pictures, config.classes, tf.as_dtype(config.dtype), layers, config.model)
            for pictures in (batch, one)
        )
        classes, single_class = tf.argmax(logits, 1).op, tf.argmax(single, 1).op
        with tf.Session(graph=graph, config=session.settings(config)) as running:
            running.run(tf.local_variables_initializer())
            running.run(tf.tables_initializer())
            elapsed = _throughput(config, running, classes, emit)
            latency = _latency(running, single_class)
    return {
        "timed_steps": config.steps - config.warmup_steps,
        "elapsed_s": elapsed,
        "final_loss": None,
        "latency_ms": latency,
    }


def _weights(config):
    """``({variable name: array}, number of parameters)`` of the model to run."""
    checkpoint = tf.train.latest_checkpoint(config.model_dir) if config.model_dir else None
    if config.model_dir and not checkpoint:
        raise UsageError(
            "no checkpoint in %s to run; train one there first, or leave --model-dir out" % config.model_dir
        )
    with tf.Graph().as_default(), tf.Session(config=session.settings(config)) as running:
        tf.set_random_seed(config.seed)
        pictures = tf.zeros([1, config.image_size, config.image_size, 3])
        model.resnet(pictures, config.classes, tf.float32, model.Variables(training=False), config.model)
        variables = tf.global_variables()
        if checkpoint:
            tf.train.Saver(variables).restore(running, checkpoint)
        else:
            running.run(tf.global_variables_initializer())
        values = dict(zip([variable.op.name for variable in variables], running.run(variables)))
        return values, model.parameter_count()


def _throughput(config, running, operation, emit):
    began = marked = timed_from = time.time()
    for step in range(1, config.steps + 1):
        running.run(operation)
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


def _latency(running, operation):
    """Milliseconds for one image: ``{"p50", "p90", "p99"}``."""
    times = []
    for _ in range(_LATENCY_RUNS + 3):
        began = time.time()
        running.run(operation)
        times.append((time.time() - began) * 1e3)
    shown = (50, 90, 99)
    return {"p%d" % share: round(value, 3) for share, value in zip(shown, np.percentile(times[3:], shown))}
