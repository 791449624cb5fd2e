"""BERT (Devlin et al. 2018) with the head for spans: where in the text an answer begins and ends.

The precision scheme is that of ``resnet``: variables in float32, handed out cast; activations in the compute dtype;
softmax and layer normalisation take their statistics in float32; the logits go back to float32 for the loss. Queries,
keys and values are one matrix product. There is no pooler (spans do not use it), and no dropout, in either dtype.
"""

import collections

import tensorflow.compat.v1 as tf

from workload import kernels
from workload.variables import custom_dtype_getter

Shape = collections.namedtuple("Shape", "layers hidden heads vocabulary")
SCOPE = "bert"
LONGEST = 512  # tokens that have a position
_SEGMENTS = 2
_DEVIATION = 0.02


def bert(inputs, shape, layers):
    """Logits, float32, [N, length, 2]: of each token for being the answer's first and its last.

    Args:
        inputs: int32 ``(ids, segments, mask)``, each [N, length]; the mask is 0 where there is padding.
        shape: the network's ``Shape``.
        layers: ``Variables`` or ``Constants``.
    """
    ids, segments, mask = inputs
    length, hidden = int(ids.shape[1]), shape.hidden
    net = layers.table("embeddings/word", [shape.vocabulary, hidden], ids)
    net += layers.table("embeddings/segment", [_SEGMENTS, hidden], segments)
    net += layers.table("embeddings/position", [LONGEST, hidden], tf.range(length))
    net = _normalized(tf.reshape(tf.cast(net, layers.dtype), [-1, hidden]), None, "embeddings/norm", layers)
    bias = (tf.cast(mask, tf.float32)[:, tf.newaxis, tf.newaxis, :] - 1.0) * 1e4
    for index in range(shape.layers):
        scope = "layer%d/" % (index + 1)
        attended = _attention(net, bias, length, shape.heads, scope, layers)
        net = _normalized(_product(attended, hidden, scope + "output", layers), net, scope + "norm1", layers)
        inner, offset = _product(net, 4 * hidden, scope + "inner", layers)
        inner = kernels.biased_gelu(inner, offset)
        net = _normalized(_product(inner, hidden, scope + "outer", layers), net, scope + "norm2", layers)
    net, offset = _product(net, 2, "span", layers)
    return tf.reshape(tf.cast(net, tf.float32) + tf.cast(offset, tf.float32), [-1, length, 2])


def _product(net, units, scope, layers):
    """``(product with the kernel, bias)``: the bias is added by what follows."""
    kernel = layers.get(scope + "/kernel", [int(net.shape[-1]), units])
    return tf.matmul(net, kernel), layers.get(scope + "/bias", [units], tf.zeros_initializer())


def _attention(net, bias, length, heads, scope, layers):
    hidden = int(net.shape[-1])
    together, offset = _product(net, 3 * hidden, scope + "qkv", layers)
    together = tf.nn.bias_add(together, offset)
    together = tf.reshape(together, [-1, length, 3, heads, hidden // heads])
    query, key, value = tf.unstack(tf.transpose(together, [2, 0, 3, 1, 4]))
    scores = tf.matmul(query, key, transpose_b=True)
    shares = kernels.scaled_softmax(scores, bias, (hidden // heads) ** -0.5)
    return tf.reshape(tf.transpose(tf.matmul(shares, value), [0, 2, 1, 3]), [-1, hidden])


def _normalized(net, shortcut, scope, layers):
    """Layer normalisation of ``net`` (with a shortcut: of a product, its bias and the shortcut together)."""
    net, offset = net if isinstance(net, tuple) else (net, None)
    size = [int(net.shape[-1])]
    gamma = layers.get(scope + "/gamma", size, tf.ones_initializer(), tf.float32)
    beta = layers.get(scope + "/beta", size, tf.zeros_initializer(), tf.float32)
    return kernels.layer_norm(net, gamma, beta, [] if shortcut is None else [offset, shortcut])


class Variables(object):
    """Weights from float32 variables, cast to the compute dtype by the paper's getter.

    Args:
        dtype: the compute dtype.
        reuse: take the variables that exist.
    """

    def __init__(self, dtype, reuse=False):
        self.dtype, self._reuse = dtype, reuse

    def get(self, name, shape, initializer=None, dtype=None):
        """The weight of that name, in the compute dtype unless another is asked for."""
        initializer = initializer or tf.truncated_normal_initializer(stddev=_DEVIATION)
        with tf.variable_scope(SCOPE, custom_getter=custom_dtype_getter, use_resource=True, reuse=self._reuse):
            return tf.get_variable(name, shape, dtype or self.dtype, initializer)

    def table(self, name, shape, ids):
        """Those rows, float32: only what is taken out is cast later, not the whole table."""
        return tf.gather(self.get(name, shape, dtype=tf.float32), ids)


class Constants(object):
    """Weights from arrays, already of the compute dtype, for inference.

    Args:
        dtype: the compute dtype.
        values: ``{variable name: array}`` of a trained ``Variables`` model.
        hold: makes a tensor of an array.
    """

    def __init__(self, dtype, values, hold):
        self.dtype, self._values, self._hold, self._made = dtype, values, hold, {}

    def get(self, name, shape, initializer=None, dtype=None):  # noqa: ARG002 - as in Variables
        """The weight of that name."""
        if name not in self._made:
            array = self._values["%s/%s" % (SCOPE, name)]
            self._made[name] = self._hold(array.astype((dtype or self.dtype).as_numpy_dtype))
        return self._made[name]

    def table(self, name, shape, ids):
        """Those rows, float32."""
        return tf.gather(self.get(name, shape, dtype=tf.float32), ids)
