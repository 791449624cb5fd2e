"""Where in a text the answer to a question is (SQuAD), with BERT."""

import tensorflow.compat.v1 as tf

from workload import bert, check, data, layouts, optimizer, squad
from workload.config import SYNTHETIC
from workload.models import MODELS
from workload.tokens import FIRST_WORD


class Task(object):
    """See ``workload.tasks``; the inputs are int32 ``(ids, segments, mask)``, each [N, length].

    Labels are int32 [N, 2]: the first and the last token of the answer, 0 and 0 where the text has none. An answer
    counts as correct when both are; as in the top five when both are among the five likeliest.
    """

    SCOPE = bert.SCOPE

    def __init__(self, config):
        self._config = config
        self._shape = bert.Shape(**MODELS[config.model].network)

    def steps_per_epoch(self):
        """Steps in which all workers see every part of a text once."""
        config = self._config
        if config.data == SYNTHETIC:
            return None
        return max(1, len(self._examples(training=True)) // config.global_batch_size)

    def check(self):
        """The JSON must be readable, and answers where they are said to be."""
        return check.of_run(self._config)

    def batch(self, rank, training):
        """Tokens and places of answers."""
        config = self._config
        if config.data == SYNTHETIC:
            return self._synthetic(rank)
        examples = self._examples(training)
        dataset = examples.share(rank, config.workers, config.seed, training)
        iterator = tf.data.make_initializable_iterator(
            dataset.batch(config.batch_size, drop_remainder=training).prefetch(2)
        )
        ids, bounds, labels = iterator.get_next()
        place = tf.range(config.sequence_length)[tf.newaxis]
        mask = tf.cast(place < bounds[:, 1:], tf.int32)
        segments = mask * tf.cast(place >= bounds[:, :1], tf.int32)
        return data.Batch((ids, segments, mask), labels, tf.constant(0, tf.int64), iterator.initializer)

    def placeholders(self):
        """Token numbers, segments and the mask of padding."""
        length = self._config.sequence_length
        names = ("input_ids", "segment_ids", "input_mask")
        named = [(name, tf.placeholder(tf.int32, [None, length], name)) for name in names]
        return dict(named), tuple(tensor for _, tensor in named)

    def variables(self, training, reuse=False):  # noqa: ARG002 - the same for both
        """Weights in float32 variables, handed out in the compute dtype."""
        return bert.Variables(tf.as_dtype(self._config.dtype), reuse)

    def constants(self, values, hold):
        """Trained weights, of the compute dtype already."""
        return bert.Constants(tf.as_dtype(self._config.dtype), values, hold)

    def logits(self, inputs, layers):
        """[N, length, 2]."""
        return bert.bert(inputs, self._shape, layers)

    def loss(self, logits, labels):
        """The mean cross-entropy of both ends."""
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
        ends = [entropy(labels=labels[:, end], logits=logits[:, :, end]) for end in (0, 1)]
        return tf.reduce_mean(tf.stack(ends))

    def correct(self, logits, labels):
        """Both ends right, or among the five likeliest."""
        counts = []
        for top in (1, 5):
            hits = [tf.nn.in_top_k(logits[:, :, end], labels[:, end], top) for end in (0, 1)]
            counts.append(tf.reduce_sum(tf.cast(tf.logical_and(*hits), tf.int32)))
        return counts + [tf.shape(labels)[0]]

    def answers(self, logits):
        """The logits of both ends."""
        return {"start_logits": logits[:, :, 0], "end_logits": logits[:, :, 1]}

    def update(self, step):
        """AdamW with clipped gradients, the rate rising and falling linearly."""
        config = self._config
        rate = optimizer.linear_rate(config.base_learning_rate, step, config.steps)
        return rate, optimizer.AdamW(rate, config.weight_decay), optimizer.clipped

    def _examples(self, training):
        config = self._config
        split = layouts.SPLITS[0 if training else 1]
        return squad.opened(config.data, split, config.sequence_length, self._shape.vocabulary)

    def _synthetic(self, rank):
        """One batch of random tokens and answers, kept in variables: reading it is free."""
        config = self._config
        shape = [config.batch_size, config.sequence_length]
        local = dict(trainable=False, use_resource=True, collections=[tf.GraphKeys.LOCAL_VARIABLES])
        seed = config.seed * 1000 + rank
        tokens = tf.random_uniform(shape, FIRST_WORD, self._shape.vocabulary, tf.int32, seed=seed)
        ids = tf.Variable(tokens, name="synthetic_ids", **local)
        places = tf.random_uniform([config.batch_size, 2], 0, config.sequence_length, tf.int32, seed=seed)
        labels = tf.Variable(places, name="synthetic_labels", **local)
        mask = tf.ones(shape, tf.int32)
        segments = tf.concat([mask[:, : shape[1] // 8] * 0, mask[:, shape[1] // 8 :]], 1)
        return data.Batch((ids.read_value(), segments, mask), labels.read_value(), tf.constant(0, tf.int64), tf.no_op())
