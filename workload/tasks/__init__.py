"""What can be trained and run: a network with its data, loss, optimizer and score, each a module with a class ``Task``.

``models.json`` says which models are a module's. The class is made with the Config and has, besides ``SCOPE`` (where
its variables are) and ``placeholders()`` (``({name: placeholder}, inputs)``, the batch size open):

``steps_per_epoch()``, ``check()``
    the training data: its length in steps (None if synthetic), and whether it fits the network (UsageError; else the
    sentences that are worth knowing).
``batch(rank, training)``
    a worker's ``data.Batch``.
``variables(training, reuse)``, ``constants(values, hold)``
    where the layers get their weights from: variables, or for inference ``{variable name: array}``, of each of which
    ``hold`` makes a tensor.
``logits(inputs, layers)``, ``loss(logits, labels)``, ``correct(logits, labels)``, ``answers(logits)``
    the network (float32 logits); the mean loss; ``[top-1, top-5, number]`` of a batch; named outputs to be served.
``update(step)``
    ``(learning rate, optimizer, prepare)``: ``prepare`` makes of the mean gradients what the optimizer applies.
"""

import importlib

from workload.models import MODELS


def of(config):
    """The task of the model that the Config names."""
    return importlib.import_module("workload.tasks." + MODELS[config.model].task).Task(config)
