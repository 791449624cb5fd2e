"""Loss, learning-rate schedule, weight decay, LARS and the update itself."""

import tensorflow.compat.v1 as tf

from workload.variables import is_decayed

WARMUP = 5.0 / 90  # share of the run with a rising learning rate
DECAYS = (30.0 / 90, 60.0 / 90, 80.0 / 90)  # where the learning rate is divided by ten
_LARS_COEFFICIENT = 0.001


def cross_entropy(logits, labels, label_smoothing):
    """Mean softmax cross-entropy of float32 logits [N, classes] and integer labels [N]."""
    if not label_smoothing:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    targets = tf.one_hot(labels, int(logits.shape[-1]))
    targets = targets * (1.0 - label_smoothing) + label_smoothing / int(logits.shape[-1])
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=targets, logits=logits))


def learning_rate(base, step, total_steps):
    """The rate at ``step`` (an integer tensor): linear warm-up, then divided by ten three times.

    The places are the usual ones of a 90-epoch ImageNet run (5; 30, 60, 80), scaled to the length of this run.
    """
    progress = tf.cast(step, tf.float32)
    warmup_steps = max(1.0, WARMUP * total_steps)
    rate = base * tf.minimum(1.0, (progress + 1.0) / warmup_steps)
    for share in DECAYS:
        rate = tf.where(progress < share * total_steps, rate, rate * 0.1)
    return rate


def decayed(gradients, weight_decay):
    """``[(gradient + weight_decay * variable, variable)]``, the decay on kernels only."""
    return [
        (gradient + weight_decay * variable if weight_decay and is_decayed(variable) else gradient, variable)
        for gradient, variable in gradients
    ]


def lars(gradients, weight_decay):
    """Layer-wise adaptive rates (You, Gitman, Ginsburg 2017): each kernel's gradient, decay included, scaled by the
    ratio of the kernel's norm to the gradient's."""
    scaled = []
    for gradient, variable in decayed(gradients, weight_decay):
        if is_decayed(variable):
            weight_norm, gradient_norm = tf.norm(variable), tf.norm(gradient)
            ratio = _LARS_COEFFICIENT * weight_norm / (gradient_norm + 1e-9)
            gradient = gradient * tf.where(weight_norm > 0, ratio, tf.ones_like(ratio))
        scaled.append((gradient, variable))
    return scaled


WARMUP_TO_LINEAR = 0.1  # share of BERT's run with a rising learning rate
_LARGEST_NORM = 1.0


def linear_rate(base, step, total_steps):
    """BERT's rate at ``step`` (an integer tensor): linear warm-up over a tenth of the run, then linearly to zero."""
    progress = tf.cast(step, tf.float32)
    warmup_steps = max(1.0, WARMUP_TO_LINEAR * total_steps)
    falling = (total_steps - progress) / max(1.0, total_steps - warmup_steps)
    return base * tf.maximum(0.0, tf.minimum((progress + 1.0) / warmup_steps, tf.minimum(1.0, falling)))


def clipped(gradients):
    """The gradients scaled down to a global norm of at most 1, as BERT's fine-tuning does."""
    values, _ = tf.clip_by_global_norm([gradient for gradient, _ in gradients], _LARGEST_NORM)
    return list(zip(values, [variable for _, variable in gradients]))


class AdamW(tf.train.AdamOptimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2017), on kernels only."""

    def __init__(self, rate, weight_decay):
        super(AdamW, self).__init__(rate, epsilon=1e-6)
        self._rate, self._decay = rate, weight_decay

    def _resource_apply_dense(self, grad, var):
        if not (self._decay and is_decayed(var)):
            return super(AdamW, self)._resource_apply_dense(grad, var)
        with tf.control_dependencies([var.assign_sub(self._rate * self._decay * var, read_value=False)]):
            return super(AdamW, self)._resource_apply_dense(grad, var)


def momentum(rate):
    """Momentum SGD, 0.9: ``tf.train.MomentumOptimizer``, so that Analytics Zoo can wrap it as well."""
    return tf.train.MomentumOptimizer(rate, 0.9)
