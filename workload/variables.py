"""What all networks do alike with their variables: kept in float32, handed out in the compute dtype."""

import tensorflow.compat.v1 as tf

_CASTABLE = (tf.float16, tf.bfloat16)


def custom_dtype_getter(getter, name, shape=None, dtype=tf.float32, *args, **kwargs):
    """A variable getter that stores 16-bit variables in float32 and returns them cast (the paper's sample code)."""
    if dtype in _CASTABLE:
        variable = getter(name, shape, tf.float32, *args, **kwargs)
        return tf.cast(variable, dtype=dtype, name=name + "_cast")
    return getter(name, shape, dtype, *args, **kwargs)


def parameter_count():
    """How many trainable values the default graph's model has."""
    return sum(variable.shape.num_elements() for variable in tf.trainable_variables())


def is_decayed(variable):
    """Whether weight decay applies: to kernels, not to biases nor to batch normalisation."""
    return variable.op.name.endswith("kernel")
