"""Training: the session loop, evaluation, checkpoints. The same code runs in one process and in each Spark task."""

import math
import time

import tensorflow.compat.v1 as tf

from workload import checkpoint, graph, infer, session, tasks, variables
from workload.config import SYNTHETIC
from workload.errors import WorkloadError


def run(config, emit, rank=0, ring=None):
    """Train as told and return this worker's part of the summary; arguments and result are ``worker.run``'s.

    Raises:
        WorkloadError: the loss is not finite, the data cannot be read, or a worker was lost.
    """
    task = tasks.of(config)
    notes = task.check()
    per_epoch = task.steps_per_epoch() if config.epochs or config.evaluate else None
    config = config.settled(per_epoch)
    resumed = checkpoint.to_resume(config) if rank == 0 else None
    with tf.Graph().as_default() as built:
        tf.set_random_seed(config.seed)
        loop = _Loop(config, emit, rank, ring, per_epoch)
        emit("start", **session.start_fields(config, variables.parameter_count(), notes))
        try:
            with tf.Session(graph=built, config=session.settings(config)) as running:
                loop.start(running, resumed)
                result = loop.run()
                if config.export_dir and rank == 0:
                    infer.export(config, infer.values(task, running))
                return result
        except tf.errors.OpError:
            if loop.training.error:
                raise loop.training.error from None
            raise
        finally:
            loop.training.close()


class _Loop(object):
    """The graph's parts and what is done with them, step by step."""

    def __init__(self, config, emit, rank, ring, per_epoch):
        self._config, self._emit, self._per_epoch = config, emit, per_epoch
        task = tasks.of(config)
        self._batch = task.batch(rank, training=True)
        self.training = graph.Training(config, self._batch, ring)
        if config.evaluate:
            self._evaluated = task.batch(rank, training=False)
            self._evaluation = graph.Evaluation(config, self._evaluated)
        folder = config.model_dir if rank == 0 else None
        self._keeper = checkpoint.Keeper(folder)
        self._events = tf.summary.FileWriter(folder) if folder else None
        self._corrupt = 0
        self._session = None

    def start(self, running, resumed):
        """Initialise or restore the variables, alike on every worker."""
        self._session = running
        running.run([tf.local_variables_initializer(), tf.global_variables_initializer(), self._batch.initializer])
        if resumed:
            self._keeper.restore(running, resumed)
        self.training.broadcast(running)

    def run(self):
        """Steps up to ``steps`` in all; the first ``warmup_steps`` of this run are not timed."""
        config = self._config
        first = int(self._session.run(self.training.global_step))
        checkpoint.enough_left(config, first)
        began, timed, interval, since = time.time(), 0.0, 0.0, 0
        for step in range(first + 1, config.steps + 1):
            loss, seconds = self._train(step)
            interval += seconds
            since += 1
            if step - first > config.warmup_steps:
                timed += seconds
            last = step == config.steps
            if last or step % config.interval_steps == 0:
                self._report(step, loss, since * config.global_batch_size / interval, time.time() - began)
                interval, since = 0.0, 0
            if last or (self._per_epoch and step % self._per_epoch == 0):
                self._end_epoch(step)
            elif step % config.checkpoint_steps == 0:
                self._save(step)
        if self._events:
            self._events.close()
        return {
            "steps": config.steps,
            "warmup_steps": config.warmup_steps,
            "timed_steps": config.steps - first - config.warmup_steps,
            "elapsed_s": timed,
            "final_loss": round(loss, 6),
            "corrupt_images": int(self._corrupt),
        }

    def _train(self, step):
        """One step; ``(loss, seconds)``."""
        began = time.time()
        _, loss, self._corrupt = self._session.run([self.training.step, self.training.loss, self._batch.corrupt])
        seconds = time.time() - began
        if not math.isfinite(loss):
            raise WorkloadError(
                "the loss is %s at step %d; try a --learning-rate below %g"
                % (loss, step, self._config.base_learning_rate)
            )
        return float(loss), seconds

    def _report(self, step, loss, rate, elapsed):
        self._emit(
            "interval",
            step=step,
            loss=round(loss, 6),
            images_per_second=round(rate, 3),
            elapsed_s=round(elapsed, 3),
        )
        if self._events:
            learning_rate = float(self._session.run(self.training.rate))
            self._write_events(step, loss=loss, images_per_second=rate, learning_rate=learning_rate)

    def _end_epoch(self, step):
        self._save(step)
        if not self._config.evaluate:
            return
        top_1, top_5, images = self._evaluate()
        scores = {"top_1": round(top_1 / images, 6), "top_5": round(top_5 / images, 6)}
        epoch = round(step / self._per_epoch, 3) if self._per_epoch else None
        self._emit("evaluation", step=step, epoch=epoch, images=images, **scores)
        self._keeper.offer(self._session, step, scores["top_1"])
        if self._events:
            self._write_events(step, **scores)

    def _evaluate(self):
        """``(top-1 hits, top-5 hits, images)`` over all workers' evaluation data."""
        running, counts = self._session, [0, 0, 0]
        running.run(self._evaluated.initializer)
        while True:
            try:
                batch_counts = running.run(self._evaluation.correct)
            except tf.errors.OutOfRangeError:
                break
            counts = [count + int(more) for count, more in zip(counts, batch_counts)]
            if self._config.data == SYNTHETIC:  # one batch, which never ends
                break
        counts = self.training.total(counts)
        if not counts[-1]:
            raise WorkloadError("nothing of the validation split of %s could be read" % self._config.data)
        return counts

    def _save(self, step):
        self.training.average_statistics(self._session)
        self._keeper.save(self._session, step)

    def _write_events(self, step, **values):
        written = [tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._events.add_summary(tf.Summary(value=written), step)
        self._events.flush()
