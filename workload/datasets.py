"""Each worker's share of the images at a path, as ``(encoded image, label)``; labels count from 0.

Over all workers each image comes exactly once in every pass.
"""

import os
import random

import tensorflow.compat.v1 as tf

from workload import layouts, records
from workload.errors import UsageError

SHUFFLE_BUFFER = 4096
_FILES_AT_ONCE = 8


def count(source, split):
    """How many images a split has; of uncompressed records from their length fields alone.

    Raises:
        UsageError: it is not there, not whole, or damaged.
    """
    content = source.split(split)
    return len(content.labelled) or sum(records.count(path) for path in content.files)


def share(source, split, rank, workers, seed, training):
    """This worker's dataset; training data comes shuffled and without end.

    Raises:
        UsageError: the split is not there, not whole, or damaged, or has too few images for the workers.
    """
    content = source.split(split)
    if source.kind == layouts.RECORDS:
        return _records(content.files, rank, workers, seed, training)
    return _images(content.labelled, rank, workers, seed, training)


def _records(files, rank, workers, seed, training):
    """Whole files where each worker gets one, else every n-th record."""
    by_file = len(files) >= workers
    own = files[rank::workers] if by_file else files
    # Names as bytes, since they need not be UTF-8.
    pairs = [os.fsencode(path) for path in own], [records.compression(path) for path in own]
    dataset = tf.data.Dataset.from_tensor_slices(pairs)
    if by_file and training:
        dataset = dataset.shuffle(len(files), seed=seed)
    dataset = dataset.interleave(
        lambda path, compression: tf.data.TFRecordDataset(path, compression),
        cycle_length=_FILES_AT_ONCE if by_file else 1,
    )
    if not by_file:
        dataset = dataset.shard(workers, rank)
    if training:
        dataset = dataset.shuffle(SHUFFLE_BUFFER, seed=seed + rank).repeat()
    return dataset.map(_parsed)


def _parsed(record):
    features = {
        records.IMAGE: tf.io.FixedLenFeature([], tf.string),
        records.LABEL: tf.io.FixedLenFeature([], tf.int64),
    }
    example = tf.io.parse_single_example(record, features)
    return example[records.IMAGE], tf.cast(example[records.LABEL], tf.int32) - 1


def _images(labelled, rank, workers, seed, training):
    """Every n-th image of one order that all workers agree on."""
    labelled = list(labelled)
    random.Random(seed).shuffle(labelled)  # noqa: S311 - no secret
    own = labelled[rank::workers]
    if training and not own:
        raise UsageError("%d images are too few for %d workers" % (len(labelled), workers))
    paths = tf.constant([os.fsencode(path) for path, _ in own], tf.string)
    dataset = tf.data.Dataset.from_tensor_slices((paths, tf.constant([label for _, label in own], tf.int32)))
    if training:
        dataset = dataset.shuffle(max(1, len(own)), seed=seed + rank).repeat()
    return dataset.map(lambda path, label: (tf.io.read_file(path), label))
