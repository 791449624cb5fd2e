"""One worker's whole run, in this process: what every engine calls."""

import tensorflow.compat.v1 as tf

from workload import data, hardware, infer, train
from workload.errors import WorkloadError


def run(config, emit, rank=0, ring=None):
    """Train or infer as told, in this process, and return this worker's part of the summary.

    Args:
        config: the Config.
        emit: called with ``event, **fields`` for each line; only rank 0's are passed on.
        rank: this worker's number.
        ring: the Ring to the other workers; None when there are none.

    Returns:
        ``{"steps", "warmup_steps", "timed_steps", "elapsed_s", "final_loss", "memory_mib", "variables"}``, and
        ``latency_ms`` from inference or ``corrupt_images`` from training.

    Raises:
        WorkloadError: TensorFlow refused something, the loss is not finite, or a worker was lost.
    """
    emit = emit if rank == 0 else _silent
    try:
        if config.mode == "infer":
            result = infer.run(config, emit, rank)  # no gradients, so no ring
        else:
            result = train.run(config, emit, rank, ring)
    except tf.errors.OpError as error:
        raise WorkloadError(data.explained(error)) from error
    return dict(result, memory_mib=round(hardware.peak_memory_mib(), 1), variables=hardware.variables())


def _silent(event, **fields):
    """Only rank 0 reports."""
