"""ResNet v1.5 (bottleneck blocks, the stride in the 3x3 convolution) for images in NHWC.

The precision scheme is the paper's sample code: the images are cast to the compute dtype, a custom getter keeps every
variable in float32 and hands out a cast of it, batch normalisation is the fused operation with float32 statistics, and
the logits go back to float32 for the loss.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from workload import kernels
from workload.variables import custom_dtype_getter

SCOPE = "resnet_model"
MOMENTUM = 0.9  # of the moving statistics


def resnet(images, classes, dtype, layers, blocks, width):
    """Logits, float32, [N, classes].

    Args:
        images: [N, height, width, 3], any float dtype.
        classes: number of classes.
        dtype: ``tf.float32`` or ``tf.bfloat16``: the type of every activation.
        layers: ``Variables``, or ``Folded`` for inference from constants.
        blocks: how many there are in each stage.
        width: channels of the first stage's blocks.
    """
    net = tf.cast(images, dtype)
    net = layers.conv(net, "stem", width, 7, 2)
    net = tf.nn.max_pool2d(net, 3, 2, "SAME")
    copies = net, net
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            copies = _bottleneck(copies, "stage%d_block%d/" % (stage + 1, index + 1), width << stage, stride, layers)
    net = tf.reduce_mean(copies[0], [1, 2])
    return tf.cast(layers.dense(net, "dense", classes), tf.float32)


def _bottleneck(copies, scope, width, stride, layers):
    """A block; takes and gives its tensor twice, for its two consumers."""
    net, shortcut = copies
    if int(net.shape[-1]) != 4 * width or stride > 1:
        shortcut = layers.conv(shortcut, scope + "shortcut", 4 * width, 1, stride, relu=False)
    net = layers.conv(net, scope + "conv1", width, 1, 1)
    net = layers.conv(net, scope + "conv2", width, 3, stride)
    return layers.conv(net, scope + "conv3", 4 * width, 1, 1, shortcut=shortcut)


class Variables(object):
    """Layers with variables: convolution, batch normalisation and ReLU, each its own operation.

    Args:
        training: batch statistics and their moving averages (collected under UPDATE_OPS) when true, the stored
            statistics otherwise.
        reuse: take the variables that exist (a second tower for evaluation).
    """

    def __init__(self, training, reuse=False):
        self._training, self._reuse = training, reuse

    def _scope(self, name):
        return tf.variable_scope(
            SCOPE + "/" + name, custom_getter=custom_dtype_getter, use_resource=True, reuse=self._reuse
        )

    def conv(self, net, name, filters, size, stride, relu=True, shortcut=None):
        """Convolution and batch normalisation, plus ``shortcut``, and ReLU where wanted.

        The result, or with a shortcut two copies of it. Before a shortcut is added the normalisation's scale starts
        at zero: each block starts as the identity.
        """
        with self._scope(name):
            kernel = tf.get_variable(
                "kernel",
                [size, size, int(net.shape[-1]), filters],
                net.dtype,
                initializer=tf.variance_scaling_initializer(2.0, "fan_out", "truncated_normal"),
            )
            net = _convolved(net, kernel, stride)
            return self._batch_norm(net, relu, shortcut)

    def dense(self, net, name, units):
        """A fully connected layer with bias."""
        with self._scope(name):
            kernel = tf.get_variable(
                "kernel", [int(net.shape[-1]), units], net.dtype, initializer=tf.random_normal_initializer(stddev=0.01)
            )
            bias = tf.get_variable("bias", [units], net.dtype, initializer=tf.zeros_initializer())
            return tf.nn.bias_add(tf.matmul(net, kernel), bias)

    def _batch_norm(self, net, relu, shortcut):
        channels = [int(net.shape[-1])]
        start = tf.ones_initializer() if shortcut is None else tf.zeros_initializer()
        gamma = tf.get_variable("gamma", channels, initializer=start)
        beta = tf.get_variable("beta", channels, initializer=tf.zeros_initializer())
        mean = tf.get_variable("moving_mean", channels, initializer=tf.zeros_initializer(), trainable=False)
        variance = tf.get_variable("moving_variance", channels, initializer=tf.ones_initializer(), trainable=False)
        if not self._training:
            net = tf.nn.fused_batch_norm(net, gamma, beta, mean, variance, epsilon=kernels.EPSILON, is_training=False)[
                0
            ]
            return _added(net, relu, shortcut)
        if kernels.pay_off(net.dtype):
            copies, batch_mean, batch_variance = kernels.batch_norm(net, gamma, beta, relu, shortcut)
            net = copies[0] if shortcut is None else copies
        else:
            net, batch_mean, batch_variance = tf.nn.fused_batch_norm(
                net, gamma, beta, epsilon=kernels.EPSILON, is_training=True
            )
            net = _added(net, relu, shortcut)
        for moving, batch in ((mean, batch_mean), (variance, batch_variance)):
            update = tf.assign_sub(moving, (moving - batch) * (1.0 - MOMENTUM))
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
        return net


def _added(net, relu, shortcut):
    net = net if shortcut is None else net + shortcut
    net = tf.nn.relu(net) if relu else net
    return net if shortcut is None else (net, net)


class Folded(object):
    """Layers of constants for inference: batch normalisation is part of the convolution's kernel and bias.

    Args:
        values: ``{variable name: array}`` of a trained ``Variables`` model, names without ``:0``.
        hold: makes a tensor of an array.
    """

    def __init__(self, values, hold):
        self._values, self._hold = values, hold
        self._constants = {}

    def conv(self, net, name, filters, size, stride, relu=True, shortcut=None):  # noqa: ARG002 - as in Variables
        """Convolution with bias, and ReLU where wanted; sizes and scale are the stored ones."""
        kernel, bias = self._constant(name, net.dtype, self._fold)
        return _added(tf.nn.bias_add(_convolved(net, kernel, stride), bias), relu, shortcut)

    def dense(self, net, name, units):  # noqa: ARG002 - as in Variables
        """A fully connected layer with bias."""
        kernel, bias = self._constant(name, net.dtype, lambda get: (get("kernel"), get("bias")))
        return tf.nn.bias_add(tf.matmul(net, kernel), bias)

    def _constant(self, name, dtype, make):
        if name not in self._constants:
            arrays = make(lambda part: self._values["%s/%s/%s" % (SCOPE, name, part)])
            self._constants[name] = [self._hold(array.astype(dtype.as_numpy_dtype)) for array in arrays]
        return self._constants[name]

    @staticmethod
    def _fold(get):
        scale = get("gamma") / np.sqrt(get("moving_variance") + kernels.EPSILON)
        return get("kernel") * scale, get("beta") - get("moving_mean") * scale


def _convolved(net, kernel, stride):
    if kernel.shape[0] == 1 and kernels.pay_off(net.dtype):
        return kernels.pointwise_convolution(net, kernel, stride)
    if stride == 1:
        return tf.nn.conv2d(net, kernel, [1, 1, 1, 1], "SAME")
    # Padding that does not depend on the image's size, as in the original network.
    size = int(kernel.shape[0])
    before, after = (size - 1) // 2, size // 2
    net = tf.pad(net, [[0, 0], [before, after], [before, after], [0, 0]])
    return tf.nn.conv2d(net, kernel, [1, stride, stride, 1], "VALID")
