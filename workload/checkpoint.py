"""Checkpoints of a run in its folder: the newest ones, the best one, and what to resume from."""

import os

import tensorflow.compat.v1 as tf

from workload.errors import UsageError

_NAME = "model.ckpt"


def to_resume(config):
    """The checkpoint to go on from, or None for a fresh start.

    Raises:
        UsageError: ``--resume`` has nothing to resume, or a fresh start would overwrite a checkpoint.
    """
    newest = tf.train.latest_checkpoint(config.model_dir) if config.model_dir else None
    if config.resume and not newest:
        raise UsageError("--resume found no checkpoint in %s" % config.model_dir)
    if newest and not config.resume:
        raise UsageError("%s already holds a checkpoint; add --resume or name another folder" % config.model_dir)
    return newest


def enough_left(config, first):
    """Make sure that after ``first`` steps of an earlier run there is one to time.

    Raises:
        UsageError: there is none.
    """
    if first + config.warmup_steps >= config.steps:
        raise UsageError(
            "the checkpoint is at step %d; --steps %d leaves none to time after %d warm-up steps"
            % (first, config.steps, config.warmup_steps)
        )


class Keeper(object):
    """Writes the default graph's variables to the folder; does nothing without one.

    The three newest checkpoints stay, and in ``best/`` the one with the highest score, which lies beside it for the run
    that resumes this one.
    """

    def __init__(self, folder):
        self._folder = folder
        self._newest, self._best = tf.train.Saver(max_to_keep=3), tf.train.Saver(max_to_keep=1)
        self._best_folder = os.path.join(folder or "", "best")
        self._score_file = os.path.join(self._best_folder, "score")
        self._best_score = -1.0
        if folder and tf.gfile.Exists(self._score_file):
            with tf.gfile.Open(self._score_file) as file:
                self._best_score = float(file.read())

    def restore(self, session, path):
        """Load that checkpoint."""
        self._newest.restore(session, path)

    def save(self, session, step):
        """Write a checkpoint."""
        if self._folder:
            tf.gfile.MakeDirs(self._folder)
            self._newest.save(session, os.path.join(self._folder, _NAME), step)

    def offer(self, session, step, score):
        """Write the best checkpoint anew when this score is higher than any before."""
        if self._folder and score > self._best_score:
            self._best_score = score
            tf.gfile.MakeDirs(self._best_folder)
            self._best.save(session, os.path.join(self._best_folder, _NAME), step)
            # Whole or not at all: a run that is killed here can be resumed.
            with tf.gfile.Open(self._score_file + ".new", "w") as file:
                file.write("%r\n" % score)
            tf.gfile.Rename(self._score_file + ".new", self._score_file, overwrite=True)
