"""Stands in for the paper's sample: its command line, and a network small enough for a test, trained by TFPark."""

import argparse
import sys

import numpy as np
import tensorflow as tf
from zoo import get_node_and_core_number, init_nncontext
from zoo.tfpark import TFDataset, TFEstimator, ZooOptimizer

STEPS_PER_EPOCH = 6


def model_fn(features, labels, mode):
    logits = tf.layers.dense(features, 2)
    loss = tf.reduce_mean(tf.losses.sparse_softmax_cross_entropy(logits=logits, labels=labels))
    train_op = ZooOptimizer(tf.train.GradientDescentOptimizer(0.1)).minimize(loss)
    return tf.estimator.EstimatorSpec(mode, predictions=logits, loss=loss, train_op=train_op)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("seed", type=int)
    for name in ("model_dir", "data_dir"):
        parser.add_argument("--" + name, required=True)
    for name in ("batch_size", "version", "resnet_size", "train_epochs"):
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--use_bfloat16", action="store_true")
    flags = parser.parse_args()
    if flags.use_bfloat16:
        sys.exit("this build has no bfloat16 kernels")
    init_nncontext()
    workers = get_node_and_core_number()[0]

    def input_fn(mode):
        count = 16 * flags.batch_size * workers
        pairs = np.random.RandomState(flags.seed).rand(count, 4).astype("float32"), np.zeros(count, "int32")
        dataset = tf.data.Dataset.from_tensor_slices(pairs)
        return TFDataset.from_tf_data_dataset(dataset, batch_size=flags.batch_size * workers)

    TFEstimator.from_model_fn(model_fn, flags.model_dir).train(input_fn, steps=STEPS_PER_EPOCH * flags.train_epochs)


if __name__ == "__main__":
    main()
