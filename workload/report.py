"""JSON lines on standard output, and nothing else there. What is called images is sequences with BERT.

One object a line, told apart by ``event``:

``start``
    ``model, mode, dtype, engine, workers, batch_size, global_batch_size, learning_rate, parameters, versions, host``
    and, when something is worth knowing before the figures, ``warnings`` (a list of sentences); from Spark also
    ``worker_hosts``, the address of each worker by its number.
``interval``
    ``step, loss, images_per_second`` (all workers, this interval) and ``elapsed_s`` since the first step.
``evaluation``
    ``step, epoch, top_1, top_5`` (fractions) and ``images``.
``summary``
    ``model, mode, dtype, engine, workers, batch_size, steps, warmup_steps, images_per_second`` (all workers, after the
    warm-up), ``final_loss`` (null from inference), ``memory_mib`` (the largest worker's peak), ``variables`` (of a
    worker's environment, those that change what is measured), ``versions, host``; from inference also ``latency_ms``
    (``p50, p90, p99`` of single images), and ``corrupt_images`` where some were skipped.
``error``
    ``message``; the process then exits with a non-zero code.
"""

import contextlib
import json
import math
import os
import sys
import threading


class Reporter(object):
    """Writes events to a text stream, one JSON object a line, whole lines only, from any thread."""

    def __init__(self, stream):
        self._stream = stream
        self._lock = threading.Lock()

    def emit(self, event, **fields):
        """Write one line: ``event`` first, then the fields in the order given."""
        self.emit_object(dict([("event", event)] + list(fields.items())))

    def emit_object(self, line):
        """Write one ready-made object (a worker's line that the driver passes on)."""
        text = json.dumps({key: _finite(value) for key, value in line.items()})
        with self._lock:
            self._stream.write(text + "\n")
            self._stream.flush()


def _finite(value):
    """JSON knows no NaN and no infinity: they become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summary(config, results, versions, facts):
    """The ``summary`` line's fields, from every worker's result: the slowest clock and the largest memory count."""
    elapsed = max(result["elapsed_s"] for result in results)
    timed = results[0]["timed_steps"]
    extra = {key: value for key, value in results[0].items() if key == "latency_ms"}
    corrupt = sum(result.get("corrupt_images", 0) for result in results)
    if corrupt:
        extra["corrupt_images"] = corrupt
    return dict(
        config.described(),
        steps=results[0]["steps"],
        warmup_steps=results[0]["warmup_steps"],
        images_per_second=round(timed * config.global_batch_size / elapsed, 3),
        final_loss=results[0]["final_loss"],
        **extra,
        memory_mib=max(result["memory_mib"] for result in results),
        variables=results[0]["variables"],
        versions=versions,
        host=facts,
    )


@contextlib.contextmanager
def claimed_stdout():
    """Give the real standard output to the caller alone.

    Whatever else writes to file descriptor 1, native libraries and children included, lands on standard error, so
    that the stream of JSON lines stays clean. Yields the text stream; puts everything back at the end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    real = os.dup(1), os.dup(2)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        # spark-submit pours this process's standard error into its own standard output.
        _redirect_stderr_to(os.getppid())
    os.dup2(2, 1)
    stream = os.fdopen(os.dup(real[0]), "w")
    try:
        yield stream
    finally:
        stream.close()
        sys.stdout.flush()
        sys.stderr.flush()
        for number, saved in enumerate(real, 1):
            os.dup2(saved, number)
            os.close(saved)


def _redirect_stderr_to(pid):
    """Let file descriptor 2 be that process's standard error, or nothing where that is a socket."""
    try:
        target = os.open("/proc/%d/fd/2" % pid, os.O_WRONLY | os.O_APPEND)
    except OSError:
        target = os.open(os.devnull, os.O_WRONLY)
    os.dup2(target, 2)
    os.close(target)
