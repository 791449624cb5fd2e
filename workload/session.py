"""What training and inference share: the worker's entry, the ``start`` line, TensorFlow's threads."""

import tensorflow.compat.v1 as tf

from workload import data, host
from workload.errors import WorkloadError


def run(config, emit, rank=0, ring=None):
    """Train or infer as told, in this process, and return this worker's part of the summary.

    Args:
        config: the Config.
        emit: called with ``event, **fields`` for each line; only rank 0's are passed on.
        rank: this worker's number.
        ring: the Ring to the other workers; None when there are none.

    Returns:
        ``{"steps", "warmup_steps", "timed_steps", "elapsed_s", "final_loss", "memory_mib"}``, and ``latency_ms`` from
        inference or ``corrupt_images`` from training.

    Raises:
        WorkloadError: TensorFlow refused something, the loss is not finite, or a worker was lost.
    """
    emit = emit if rank == 0 else _silent
    try:
        if config.mode == "infer":
            from workload import infer

            result = infer.run(config, emit, rank)  # no gradients, so no ring
        else:
            from workload import train

            result = train.run(config, emit, rank, ring)
    except tf.errors.OpError as error:
        raise WorkloadError(data.explained(error)) from error
    return dict(result, memory_mib=round(host.peak_memory_mib(), 1))


def start_fields(config, parameters):
    """The ``start`` line's fields, as seen from this process."""
    facts = host.facts()
    fields = config.described()
    fields.update(
        global_batch_size=config.global_batch_size,
        learning_rate=config.base_learning_rate,
        parameters=parameters,
        versions=host.versions("tensorflow", "numpy"),
        host=facts,
    )
    if config.dtype == "bfloat16" and not host.has_bf16(facts):
        fields["warnings"] = [
            "this CPU (%s) has no bf16 instructions (%s): bfloat16 is emulated and will be slower than float32"
            % (facts["cpu"], " or ".join(host.BF16_FLAGS))
        ]
    return fields


def settings(config):
    """Threads: the worker's cores for each operation, operations one after the other.

    A second inter-operation thread on the same cores makes two convolutions evict each other's caches.
    """
    return tf.ConfigProto(intra_op_parallelism_threads=config.threads or host.threads(), inter_op_parallelism_threads=1)


def _silent(event, **fields):
    """Only rank 0 reports."""
