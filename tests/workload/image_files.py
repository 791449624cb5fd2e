"""Small data sets made on the spot."""

import numpy as np
import tensorflow as tf


def jpeg(value, size=24):
    """JPEG bytes of an image that is like no other: its number in its colours, and noise."""
    generator = np.random.default_rng(value)
    pixels = generator.integers(0, 255, (size, size, 3)).astype(np.uint8)
    return tf.io.encode_jpeg(pixels, quality=90).numpy()


def write_records(folder, split, files, per_file):
    """ImageNet-layout TFRecords; the label of image n is n + 1."""
    number = 0
    for index in range(files):
        path = folder / f"{split}-{index:05}-of-{files:05}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for _ in range(per_file):
                feature = {
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg(number)])),
                    "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number + 1])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
                number += 1
    return number


def write_folder(folder, split, classes, per_class):
    """``split/CLASS/*.jpg`` with the classes c0, c1, ..."""
    for label in range(classes):
        inside = folder / split / f"c{label}"
        inside.mkdir(parents=True)
        for index in range(per_class):
            (inside / f"{index}.jpg").write_bytes(jpeg(1000 * label + index))
    return classes * per_class


def write_digits(folder):
    """scikit-learn's 1,797 digits enlarged to 40 pixels on 48: a third to evaluate, the others in three places each."""
    from sklearn.datasets import load_digits

    generator = np.random.default_rng(0)
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        held_out = number % 3 == 0
        inside = folder / ("validation" if held_out else "train") / str(label)
        inside.mkdir(parents=True, exist_ok=True)
        enlarged = np.kron(image, np.ones((5, 5))) * 15.9
        for copy in range(1 if held_out else 3):
            top, left = (4, 4) if held_out else generator.integers(0, 9, 2)
            canvas = np.zeros((48, 48, 3), np.uint8)
            canvas[top : top + 40, left : left + 40] = enlarged[..., None]
            encoded = tf.io.encode_jpeg(canvas, quality=95).numpy()
            (inside / f"{number:04}-{copy}.jpg").write_bytes(encoded)
