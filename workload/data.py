"""Where images come from: made up once, or ImageNet-layout TFRecords."""

import glob
import os

import tensorflow.compat.v1 as tf

from workload import images
from workload.errors import UsageError

SYNTHETIC = "synthetic"
_SHUFFLE_BUFFER = 4096
_FILES_AT_ONCE = 8


def batches(config, rank, training):
    """``(images, labels)`` tensors of one batch: float32 [N, size, size, 3] and int32 [N].

    Each worker gets its own share of the data. Training data comes shuffled and without end; evaluation data once,
    in order, the last batch possibly short.
    """
    if config.data == SYNTHETIC:
        return synthetic(config, rank)
    dataset = records(config.data, rank, config.workers, config.seed, training)
    dataset = dataset.map(
        lambda record: images.from_record(record, config.image_size, training),
        num_parallel_calls=tf.data.experimental.AUTOTUNE,
    )
    dataset = dataset.batch(config.batch_size, drop_remainder=training).prefetch(2)
    iterator = tf.data.make_initializable_iterator(dataset)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    return iterator.get_next()


def synthetic(config, rank):
    """One batch of random images and labels, made when the variables are initialised and kept: reading it is free."""
    seed = config.seed * 1000 + rank
    shape = [config.batch_size, config.image_size, config.image_size, 3]
    local = dict(trainable=False, use_resource=True, collections=[tf.GraphKeys.LOCAL_VARIABLES])
    pictures = tf.Variable(tf.random_normal(shape, seed=seed), name="synthetic_images", **local)
    labels = tf.Variable(
        tf.random_uniform([config.batch_size], 0, config.classes, tf.int32, seed=seed), name="synthetic_labels", **local
    )
    return pictures.read_value(), labels.read_value()


def record_files(path, training):
    """The TFRecord files of one split, sorted: ``train-00000-of-01024`` and so on, or ``validation-*``.

    Raises:
        UsageError: there are none.
    """
    pattern = os.path.join(path, "train-*-of-*" if training else "validation-*-of-*")
    files = sorted(glob.glob(pattern))
    if not files:
        raise UsageError("no files match %s; --data takes a folder of ImageNet-layout TFRecords" % pattern)
    return files


def records(path, rank, workers, seed, training):
    """This worker's share of the serialised records: whole files when there are enough of them, else every n-th."""
    files = record_files(path, training)
    by_file = len(files) >= workers
    dataset = tf.data.Dataset.from_tensor_slices(files[rank::workers] if by_file else files)
    if training:
        dataset = dataset.shuffle(len(files), seed=seed)
    dataset = dataset.interleave(
        tf.data.TFRecordDataset,
        cycle_length=_FILES_AT_ONCE if by_file else 1,
        num_parallel_calls=tf.data.experimental.AUTOTUNE if by_file else None,
    )
    if not by_file:
        dataset = dataset.shard(workers, rank)
    if training:
        dataset = dataset.shuffle(_SHUFFLE_BUFFER, seed=seed + rank).repeat()
    return dataset
