"""What training and inference share: the ``start`` line, TensorFlow's threads."""

import os

import tensorflow.compat.v1 as tf

from workload import hardware


def start_fields(config, parameters, notes):
    """The ``start`` line's fields, as seen from this process; ``notes`` are the task's on the data."""
    facts = hardware.facts()
    fields = config.described()
    fields.update(
        global_batch_size=config.global_batch_size,
        learning_rate=config.base_learning_rate,
        parameters=parameters,
        versions=hardware.versions("tensorflow", "numpy"),
        host=facts,
    )
    warnings = list(notes) + list(_warnings(config, facts))
    if warnings:
        fields["warnings"] = warnings
    return fields


def _warnings(config, facts):
    """What is worth knowing before the figures."""
    if config.dtype == "bfloat16" and not hardware.has_bf16(facts):
        yield (
            "this CPU (%s) has no bf16 instructions (%s): bfloat16 is emulated and will be slower than float32"
            % (facts["cpu"], " or ".join(hardware.BF16_FLAGS))
        )
    if hardware.without_onednn():
        yield (
            "TF_ENABLE_ONEDNN_OPTS=%s turns oneDNN off: neither dtype is as fast as it could be, and bfloat16 does "
            "without its instructions; unset it" % os.environ["TF_ENABLE_ONEDNN_OPTS"]
        )


def settings(config):
    """Threads: the worker's cores for each operation, operations one after the other.

    A second inter-operation thread on the same cores makes two convolutions evict each other's caches.
    """
    return tf.ConfigProto(
        intra_op_parallelism_threads=config.threads or hardware.threads(), inter_op_parallelism_threads=1
    )
