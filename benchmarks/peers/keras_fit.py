"""Keras 3's side of `benchmarks.training`: `applications.ResNet50` on TensorFlow, `mixed_bfloat16` for bfloat16.

Keras 3 does not support TensorFlow's multi-worker strategy, so it trains in one process on all cores, with the global
batch, and spares itself the all-reduce. Prints ``{"images_per_second", "version"}``.
"""

from __future__ import annotations

import argparse
import json
import time

import keras
import numpy as np


def main() -> None:
    """Train on synthetic images and print the rate of the timed steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), required=True)
    parser.add_argument("--batch-size", type=int, required=True, help="the global one")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warmup-steps", type=int, required=True)
    given = parser.parse_args()
    keras.utils.set_random_seed(1)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if given.dtype == "bfloat16" else "float32")
    network = keras.applications.ResNet50(weights=None)
    network.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    random = np.random.default_rng(1)
    images = random.standard_normal((given.batch_size, 224, 224, 3), np.float32)
    labels = random.integers(0, 1000, given.batch_size)
    began = time.perf_counter()
    for step in range(given.steps):
        if step == given.warmup_steps:
            began = time.perf_counter()
        network.train_on_batch(images, labels)
    rate = (given.steps - given.warmup_steps) * given.batch_size / (time.perf_counter() - began)
    print(json.dumps({"images_per_second": round(rate, 3), "version": keras.__version__}))


if __name__ == "__main__":
    main()
