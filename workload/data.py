"""Batches for a worker: made up once, or read, decoded and counted; ``python -m workload.data`` looks at a data set.

``python -m workload.data check PATH`` decodes every image and prints what it found as one JSON object;
``python -m workload.data measure PATH`` prints how many images a second the input pipeline alone makes.
"""

import argparse
import collections
import itertools
import json
import re
import sys
import time
from concurrent import futures

import tensorflow.compat.v1 as tf

from workload import datasets, images
from workload.config import Config
from workload.errors import UsageError, WorkloadError

SYNTHETIC = "synthetic"

Batch = collections.namedtuple("Batch", "inputs labels corrupt initializer")


def batch(config, rank, training):
    """One batch as tensors: float32 images [N, size, size, 3], int32 labels [N], ``corrupt``, ``initializer``.

    Each worker gets its own share of the data. Training data comes shuffled and without end; evaluation data once,
    in order, the last batch possibly short. Images that cannot be decoded are left out; ``corrupt`` is how many this
    worker has left out so far, and more than ``config.corrupt_limit`` are an error (see ``explained``).
    """
    if config.data == SYNTHETIC:
        return _synthetic(config, rank)
    dataset = datasets.opened(config.data).share(
        datasets.SPLITS[0 if training else 1], rank, config.workers, config.seed, training
    )
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
    """The scan that adds the count of images left out so far, and ends everything beyond the limit."""
    message = "more than %d images in %s cannot be decoded; python -m workload.data check %s names them" % (
        config.corrupt_limit,
        config.data,
        config.data,
    )

    def count(corrupt, element):
        corrupt += tf.cast(tf.logical_not(element[-1]), tf.int64)
        with tf.control_dependencies([tf.Assert(corrupt <= config.corrupt_limit, [message])]):
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
    return max(1, datasets.opened(config.data).count("train") // config.global_batch_size)


def check_labels(config):
    """Make sure that the data's classes fit the model.

    Raises:
        UsageError: a folder of images has more classes than the model.
    """
    if config.data == SYNTHETIC:
        return
    source = datasets.opened(config.data)
    if source.kind == "folder" and len(source.classes()) > config.classes:
        raise UsageError("%s has %d classes; add --classes %d" % ((config.data,) + (len(source.classes()),) * 2))


def check(path, limit=None):
    """Decode every image (or the first ``limit`` of each split) and tell what is there.

    Returns:
        ``{"path", "kind", "splits": {split: {"images", "labels": [lowest, highest], "corrupt", "examples"}}}``;
        labels count from 0, ``examples`` are the first five that cannot be decoded, each with the reason.
    """
    source = datasets.opened(path)
    splits = {}
    for split in datasets.SPLITS:
        try:
            source.count(split)
        except UsageError as error:
            splits[split] = {"images": 0, "problem": str(error)}
            continue
        splits[split] = _checked(source, split, limit)
    return {"path": path, "kind": source.kind, "splits": splits}


def _checked(source, split, limit):
    labels, problems, running = [], [], collections.deque()

    def finish():
        name, future = running.popleft()
        error = future.exception()
        if isinstance(error, tf.errors.OpError):
            problems.append({"picture": name, "reason": explained(error)})
        elif error:
            raise error

    with tf.Graph().as_default(), tf.Session() as session, futures.ThreadPoolExecutor(8) as pool:
        encoded = tf.placeholder(tf.string, [])
        decode = session.make_callable(tf.image.decode_jpeg(encoded, channels=3).op, [encoded])
        for name, content, label in itertools.islice(source.each(split), limit):
            labels.append(label)
            running.append((name, pool.submit(decode, content)))
            if len(running) > 64:
                finish()
        while running:
            finish()
    return {
        "images": len(labels),
        "labels": [min(labels), max(labels)] if labels else None,
        "corrupt": len(problems),
        "examples": problems[:5],
    }


def measure(config, batches):
    """Images a second of the training input pipeline alone, over that many batches after a first one."""
    with tf.Graph().as_default(), tf.Session() as session:
        made = batch(config, 0, training=True)
        session.run(made.initializer)
        session.run(made.inputs.op)
        began = time.time()
        for _ in range(batches):
            session.run(made.inputs.op)
        return batches * config.batch_size / (time.time() - began)


def main(arguments=None):
    """The ``check`` and ``measure`` commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="workload.data", description=__doc__)
    parser.add_argument("command", choices=("check", "measure"))
    parser.add_argument("path")
    parser.add_argument("--limit", type=int, help="check: look at so many images of each split only")
    parser.add_argument("--batch-size", type=int, default=32, help="measure: images in a batch")
    parser.add_argument("--image-size", type=int, default=224, help="measure: height and width in pixels")
    parser.add_argument("--batches", type=int, default=20, help="measure: batches to time")
    given = parser.parse_args(arguments)
    try:
        if given.command == "check":
            result = check(given.path, given.limit)
            failed = any(split.get("corrupt") for split in result["splits"].values())
        else:
            config = Config(data=given.path, batch_size=given.batch_size, image_size=given.image_size, workers=1)
            result = {"path": given.path, "images_per_second": round(measure(config, given.batches), 1)}
            failed = False
    except WorkloadError as error:
        print(json.dumps({"event": "error", "message": str(error)}))
        return error.exit_code
    print(json.dumps(result))
    return 1 if failed else 0


if __name__ == "__main__":
    tf.disable_eager_execution()
    sys.exit(main())
