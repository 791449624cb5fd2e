"""Images in classes, with ResNet."""

import tensorflow.compat.v1 as tf

from workload import check, data, optimizer, resnet
from workload.models import MODELS


class Task(object):
    """See ``workload.tasks``; the inputs are float32 images [N, size, size, 3]."""

    SCOPE = resnet.SCOPE

    def __init__(self, config):
        self._config = config

    def steps_per_epoch(self):
        """Steps in which all workers see every image once."""
        return data.steps_per_epoch(self._config)

    def check(self):
        """Classes and labels must fit."""
        return check.of_run(self._config)

    def batch(self, rank, training):
        """Images and their classes."""
        return data.batch(self._config, rank, training)

    def placeholders(self):
        """Images as ``images.decode`` makes them."""
        size = self._config.image_size
        images = tf.placeholder(tf.float32, [None, size, size, 3], "images")
        return {"images": images}, images

    def variables(self, training, reuse=False):
        """Layers whose weights and statistics are variables."""
        return resnet.Variables(training, reuse)

    def constants(self, values, hold):
        """Layers with batch normalisation folded into their kernels."""
        return resnet.Folded(values, hold)

    def logits(self, inputs, layers):
        """[N, classes]."""
        config = self._config
        network = MODELS[config.model].network
        return resnet.resnet(inputs, config.classes, tf.as_dtype(config.dtype), layers, **network)

    def loss(self, logits, labels):
        """Softmax cross-entropy with label smoothing."""
        return optimizer.cross_entropy(logits, labels, self._config.label_smoothing)

    def correct(self, logits, labels):
        """Hits among the first one and five."""
        hits = [tf.nn.in_top_k(logits, labels, min(top, self._config.classes)) for top in (1, 5)]
        return [tf.reduce_sum(tf.cast(hit, tf.int32)) for hit in hits] + [tf.size(labels)]

    def answers(self, logits):
        """Classes and probabilities."""
        return {"classes": tf.argmax(logits, 1), "probabilities": tf.nn.softmax(logits)}

    def update(self, step):
        """Momentum SGD, with layer-wise rates where asked."""
        config = self._config
        rate = optimizer.learning_rate(config.base_learning_rate, step, config.steps)
        prepare = optimizer.lars if config.optimizer == "lars" else optimizer.decayed
        return rate, optimizer.momentum(rate), lambda gradients: prepare(gradients, config.weight_decay)
