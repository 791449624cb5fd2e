"""Batches for a worker: made up once, or read, decoded and counted."""

import collections
import os
import re
import time
from concurrent import futures

import tensorflow.compat.v1 as tf

from workload import check, datasets, images, layouts, records
from workload.config import SYNTHETIC
from workload.entries import shown
from workload.errors import UsageError

Batch = collections.namedtuple("Batch", "inputs labels corrupt initializer")


def batch(config, rank, training):
    """One batch as tensors: float32 images [N, size, size, 3], int32 labels [N], ``corrupt``, ``initializer``.

    Each worker gets its own share of the data. Training data comes shuffled and without end; evaluation data once,
    in order, the last batch possibly short. Images that cannot be decoded are left out; ``corrupt`` is how many this
    worker has left out so far, and more than ``config.corrupt_limit`` are an error (see ``explained``).
    """
    if config.data == SYNTHETIC:
        return _synthetic(config, rank)
    split = layouts.SPLITS[0 if training else 1]
    dataset = datasets.share(layouts.opened(config.data), split, rank, config.workers, config.seed, training)
    dataset = decoded(config, dataset, training)
    dataset = dataset.batch(config.batch_size, drop_remainder=training).prefetch(2)
    iterator = tf.data.make_initializable_iterator(dataset)
    inputs, labels, corrupt = iterator.get_next()
    return Batch(inputs, labels, corrupt[-1], iterator.initializer)


def decoded(config, dataset, training):
    """``(image, label, corrupt)`` for ``(encoded, label)``: see ``batch``."""
    dataset = dataset.interleave(
        lambda *pair: _one_decoded(config, pair, training),
        cycle_length=16,
        block_length=1,
        num_parallel_calls=tf.data.experimental.AUTOTUNE,
    )
    dataset = dataset.apply(tf.data.experimental.scan(tf.constant(0, tf.int64), _counting(config)))
    dataset = dataset.filter(lambda image, label, valid, corrupt: valid)
    return dataset.map(lambda image, label, valid, corrupt: (image, label, corrupt))


def _one_decoded(config, pair, training):
    """A data set of one ``(image, label, True)``, or ``(zeros, label, False)`` where the image cannot be decoded.

    Only the decoding may fail: an error of reading the data goes through.
    """
    crop = config.augment == "imagenet"
    good = tf.data.Dataset.from_tensors(pair).map(
        lambda encoded, label: (images.decode(encoded, config.image_size, training, crop), label, True)
    )
    blank = tf.zeros([config.image_size, config.image_size, 3])
    bad = tf.data.Dataset.from_tensors((blank, pair[1], False))
    return good.apply(tf.data.experimental.ignore_errors()).concatenate(bad).take(1)


def _counting(config):
    """The scan that adds the count of images left out so far, and ends everything beyond the limit.

    It ends everything as well at a label that the model has no class for, which a sample need not have shown.
    """
    path = shown(config.data)
    names = "python -m workload check %s names them" % path
    corrupt_message = "more than %d images in %s cannot be decoded; %s" % (config.corrupt_limit, path, names)
    label_message = "a label in %s is not from 1 to %d; %s" % (path, config.classes, names)

    def count(corrupt, element):
        label, valid = element[-2:]
        corrupt += tf.cast(tf.logical_not(valid), tf.int64)
        in_range = tf.logical_and(label >= 0, label < config.classes)
        asserted = [tf.Assert(in_range, [label_message]), tf.Assert(corrupt <= config.corrupt_limit, [corrupt_message])]
        with tf.control_dependencies(asserted):
            corrupt = tf.identity(corrupt)
        return corrupt, element + (corrupt,)

    return count


def explained(error):
    """The sentence for people in a TensorFlow error: of a failed assertion its message, else its first own line."""
    assertion = re.search(r"assertion failed: \[([^\]]*)\]", error.message)
    if assertion:
        return assertion.group(1)
    # Later versions put where the operation was defined first, and what it says after its name.
    lines = re.split(r"Node: '.*'\n", error.message)[-1].strip().splitlines()
    return "TensorFlow failed: %s" % lines[0]


def _synthetic(config, rank):
    """One batch of random images and labels, made when the variables are initialised and kept: reading it is free."""
    seed = config.seed * 1000 + rank
    shape = [config.batch_size, config.image_size, config.image_size, 3]
    local = dict(trainable=False, use_resource=True, collections=[tf.GraphKeys.LOCAL_VARIABLES])
    inputs = tf.Variable(tf.random_normal(shape, seed=seed), name="synthetic_images", **local)
    labels = tf.Variable(
        tf.random_uniform([config.batch_size], 0, config.classes, tf.int32, seed=seed), name="synthetic_labels", **local
    )
    return Batch(inputs.read_value(), labels.read_value(), tf.constant(0, tf.int64), tf.no_op())


def steps_per_epoch(config):
    """Steps in which all workers together see every image once, rounded down but at least one; None if synthetic."""
    if config.data == SYNTHETIC:
        return None
    return max(1, datasets.count(layouts.opened(config.data), "train") // config.global_batch_size)


class Decoder(object):
    """Reads all records, their checksums verified, and decodes images beside each other; see ``check.check``."""

    def __init__(self):
        self._graph, self._pool, self._running = tf.Graph(), futures.ThreadPoolExecutor(8), collections.deque()
        self._damaged = []
        with self._graph.as_default():
            self._session, encoded = tf.Session(), tf.placeholder(tf.string, [])
            image = tf.image.decode_jpeg(encoded, channels=3)
            self._decode = self._session.make_callable(image.op, [encoded])

    def records(self, path):
        """The content of every record.

        Raises:
            UsageError: the file is damaged or cannot be read.
        """
        options = tf.io.TFRecordOptions(records.compression(path))
        try:
            for content in tf.io.tf_record_iterator(os.fsencode(path), options):
                yield content
        except tf.errors.OpError as error:
            raise UsageError("%s is damaged; copy it anew: %s" % (shown(path), explained(error))) from error

    def decode(self, name, content):
        """Decode an image, some time."""
        self._running.append((name, self._pool.submit(self._decode, content)))
        if len(self._running) > 64:
            self._finish()

    def damaged(self):
        """``[{"image", "reason"}]`` of those that could not be decoded since the last call."""
        while self._running:
            self._finish()
        damaged, self._damaged = self._damaged, []
        return damaged

    def _finish(self):
        name, future = self._running.popleft()
        error = future.exception()
        if isinstance(error, tf.errors.OpError):
            self._damaged.append({"image": name, "reason": explained(error)})
        elif error:
            raise error


def measure(config, batches):
    """Images a second of the training input pipeline alone, over that many batches after a first one.

    Raises:
        UsageError: the data is not what the model expects.
    """
    check.of_run(config)
    with tf.Graph().as_default(), tf.Session() as session:
        pipeline = batch(config, 0, training=True)
        session.run(pipeline.initializer)
        session.run(pipeline.inputs.op)
        began = time.time()
        for _ in range(batches):
            session.run(pipeline.inputs.op)
        return batches * config.batch_size / (time.time() - began)
