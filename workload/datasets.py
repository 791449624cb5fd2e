"""Where images lie: ImageNet-layout TFRecords, or a folder of images by class.

Both give every worker its share of ``(encoded image, label)`` so that, over all workers, each image comes exactly
once in every pass.
"""

import glob
import os
import random
import struct

import tensorflow.compat.v1 as tf

from workload.errors import UsageError

SPLITS = ("train", "validation")
SHUFFLE_BUFFER = 4096
_FILES_AT_ONCE = 8
_EXTENSIONS = (".jpg", ".jpeg", ".png")


def opened(path):
    """The source at that path.

    Raises:
        UsageError: it is neither of the two kinds.
    """
    if not os.path.isdir(path):
        raise UsageError("--data %s is no folder on this host" % path)
    if any(glob.glob(os.path.join(path, split + "-*-of-*")) for split in SPLITS):
        return Records(path)
    return Folder(path)


class Records(object):
    """TFRecord files ``train-00000-of-01024``, ``validation-00000-of-00128`` and so on, labels from 1."""

    kind = "tfrecords"

    def __init__(self, path):
        self.path = path

    def files(self, split):
        """The split's files, sorted.

        Raises:
            UsageError: there are none, or some of those that the names promise are missing.
        """
        pattern = os.path.join(self.path, split + "-*-of-*")
        files = sorted(glob.glob(pattern))
        if not files:
            raise UsageError("no files match %s" % pattern)
        promised = int(files[0].rsplit("-", 1)[1])
        if len(files) != promised:
            raise UsageError("%s: %d files where the names promise %d" % (pattern, len(files), promised))
        return files

    def count(self, split):
        """Number of records, from their length fields alone."""
        return sum(sum(1 for _ in _lengths(name)) for name in self.files(split))

    def each(self, split):
        """``(name, encoded, label)`` of every record, read in this process."""
        for path in self.files(split):
            for number, record in enumerate(tf.io.tf_record_iterator(path)):
                feature = tf.train.Example.FromString(record).features.feature
                encoded = feature["image/encoded"].bytes_list.value[0]
                yield "%s record %d" % (path, number), encoded, feature["image/class/label"].int64_list.value[0] - 1

    def share(self, split, rank, workers, seed, training):
        """This worker's ``(encoded, label)`` dataset: whole files where each worker gets one, else every n-th record.

        Training data comes shuffled and without end.
        """
        files = self.files(split)
        by_file = len(files) >= workers
        dataset = tf.data.Dataset.from_tensor_slices(files[rank::workers] if by_file else files)
        if by_file and training:
            dataset = dataset.shuffle(len(files), seed=seed)
        dataset = dataset.interleave(tf.data.TFRecordDataset, cycle_length=_FILES_AT_ONCE if by_file else 1)
        if not by_file:
            dataset = dataset.shard(workers, rank)
        if training:
            dataset = dataset.shuffle(SHUFFLE_BUFFER, seed=seed + rank).repeat()
        return dataset.map(_parsed)


class Folder(object):
    """``train/CLASS/*.jpg`` and ``validation/CLASS/*.jpg``, or PNG; the labels are the sorted class names' numbers."""

    kind = "folder"

    def __init__(self, path):
        self.path = path

    def classes(self):
        """The sorted class names of the training split."""
        folder = self._folder("train")
        return sorted(name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name)))

    def labelled_files(self, split):
        """``[(file, label)]``, sorted.

        Raises:
            UsageError: there are none, or a class that the training split does not have.
        """
        labels = {name: label for label, name in enumerate(self.classes())}
        folder = self._folder(split)
        labelled = []
        for name in sorted(os.listdir(folder)):
            inside = os.path.join(folder, name)
            if not os.path.isdir(inside):
                continue
            if name not in labels:
                raise UsageError("class %s is in %s but not in the training split" % (name, folder))
            files = [file for file in sorted(os.listdir(inside)) if file.lower().endswith(_EXTENSIONS)]
            labelled.extend((os.path.join(inside, file), labels[name]) for file in files)
        if not labelled:
            raise UsageError("no images (%s) in %s" % (", ".join(_EXTENSIONS), os.path.join(folder, "CLASS")))
        return labelled

    def count(self, split):
        """How many images the split has."""
        return len(self.labelled_files(split))

    def each(self, split):
        """``(name, encoded, label)`` of every image, read in this process."""
        for path, label in self.labelled_files(split):
            with open(path, "rb") as file:
                yield path, file.read(), label

    def share(self, split, rank, workers, seed, training):
        """This worker's ``(encoded, label)`` dataset: every n-th image of one order that all workers agree on.

        Training data comes shuffled anew each time round, and without end.
        """
        labelled = self.labelled_files(split)
        random.Random(seed).shuffle(labelled)  # noqa: S311 - no secret
        own = labelled[rank::workers]
        dataset = tf.data.Dataset.from_tensor_slices(([name for name, _ in own], [label for _, label in own]))
        if training:
            dataset = dataset.shuffle(max(1, len(own)), seed=seed + rank).repeat()
        return dataset.map(lambda name, label: (tf.io.read_file(name), label))

    def _folder(self, split):
        folder = os.path.join(self.path, split)
        if not os.path.isdir(folder):
            raise UsageError(
                "%s has neither %s-00000-of-N files nor a folder %s/ of class folders" % (self.path, split, split)
            )
        return folder


def _parsed(record):
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    }
    example = tf.io.parse_single_example(record, features)
    return example["image/encoded"], tf.cast(example["image/class/label"], tf.int32) - 1


def _lengths(name):
    """The records' lengths in bytes. Each is: length (8), its checksum (4), the data, its checksum (4)."""
    size = os.path.getsize(name)
    with open(name, "rb") as file:
        position = 0
        while position < size:
            file.seek(position)
            header = file.read(12)
            if len(header) < 12:
                raise UsageError("%s ends in the middle of a record; copy it anew" % name)
            (length,) = struct.unpack("<Q", header[:8])
            position += 16 + length
            if position > size:
                raise UsageError("%s ends in the middle of a record; copy it anew" % name)
            yield length
