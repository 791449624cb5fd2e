"""The output of one run: what of it is told to the person, and what it comes to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from provisioner.inventory.spec import Dtype, WorkloadSpec
from provisioner.reporting import report
from provisioner.reporting.measurement import Measurement

TAIL_LINES = 20


class TrainingLog:
    """Lines in; events told, the summary and the reason of a failure out.

    Attributes:
        summary: the run's summary event; empty until it came.
        reason: what the workload itself said that went wrong; "" for nothing.
        tail: the last lines.
    """

    def __init__(
        self,
        work: WorkloadSpec,
        dtype: Dtype,
        read: Callable[[str], Mapping[str, Any] | None],
        progress: Callable[[str], None],
    ) -> None:
        self.summary: Mapping[str, Any] = {}
        self.reason = ""
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._work = work
        self._dtype = dtype
        self._read = read
        self._progress = progress

    def line(self, text: str) -> None:
        """The next line. `read` makes an event of it, or None."""
        self.tail.append(text)
        event = self._read(text)
        if event is None:
            return
        kind = event["event"]
        if kind == "interval":
            self._tell(interval_words(event, self._work))
        elif kind == "evaluation":
            self._tell(evaluation_words(event))
        elif kind == "start":
            self._tell(start_words(event))
            for warning in event.get("warnings") or []:
                self._progress(warning)
        elif kind == "error":
            self.reason = event.get("message") or ""
        elif kind == "summary":
            self.summary = event

    def _tell(self, words: str) -> None:
        self._progress(f"{self._dtype}: {words}")


def speed_words(per_second: float, model: str) -> str:
    """A rate in the model's unit."""
    return f"{per_second:.1f} {report.unit(model).replace('second', 's')}"


def summary_words(measured: Measurement) -> str:
    """A run's figures for the person."""
    words = [speed_words(measured.images_per_second, measured.model)]
    if measured.latency_ms:
        words.append("latency at batch size 1 " + ", ".join(f"{k} {v:.1f} ms" for k, v in measured.latency_ms.items()))
    if measured.memory_mib is not None:
        words.append(f"{measured.memory_mib:.0f} MiB of memory at most in a worker")
    return "; ".join(words)


def start_words(event: Mapping[str, Any]) -> str:
    """What was derived from the inventory: the global batch, the learning rate, and which workers are where."""
    words = [f"global batch {event.get('global_batch_size')}"]
    if event.get("mode") == "train":
        words.append(f"peak learning rate {event.get('learning_rate') or 0:g}")
    numbers: dict[str, list[str]] = {}
    for number, host in enumerate(event.get("worker_hosts") or []):
        numbers.setdefault(host, []).append(str(number))
    words += [f"worker{'s' * (len(workers) > 1)} {', '.join(workers)} on {host}" for host, workers in numbers.items()]
    return "; ".join(words)


def evaluation_words(event: Mapping[str, Any]) -> str:
    """One evaluation line for the person."""
    epoch = "" if event.get("epoch") is None else f" after epoch {event['epoch']:g}"
    return (
        f"{event.get('images')} images evaluated{epoch}: top-1 {event.get('top_1') or 0:.2%}, "
        f"top-5 {event.get('top_5') or 0:.2%}"
    )


def interval_words(event: Mapping[str, Any], work: WorkloadSpec) -> str:
    """One interval line for the person. A loss that is not a number is written as null; inference has none."""
    loss, speed = event.get("loss"), event.get("images_per_second")
    words = [f"step {event.get('step')}"]
    if work.mode == "train":
        words.append("loss is not a number" if loss is None else f"loss {loss:.3f}")
    return ", ".join(words if speed is None else [*words, speed_words(speed, work.model)])
