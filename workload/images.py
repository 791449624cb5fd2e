"""From an encoded image to a normalised tensor: random crop and flip to train, central crop to evaluate."""

import tensorflow.compat.v1 as tf

# ImageNet's channel means and deviations, of values 0 to 255.
_MEAN = (123.68, 116.78, 103.94)
_DEVIATION = (58.4, 57.1, 57.4)
_CENTRAL_SHARE = 0.875  # 224 of 256


def decode(encoded, size, training, crop=True):
    """A normalised float32 [size, size, 3] image of JPEG or PNG bytes.

    With ``crop``: a random part, possibly mirrored, to train, and the central part to evaluate. Without: the whole.
    """
    if not crop:
        image = tf.image.decode_jpeg(encoded, channels=3)
    elif training:
        image = _random_crop(encoded)
    else:
        image = _central_crop(encoded)
    image = tf.image.resize_bilinear([image], [size, size])[0]
    if crop and training:
        image = tf.image.random_flip_left_right(image)
    image = (tf.cast(image, tf.float32) - _MEAN) / _DEVIATION
    image.set_shape([size, size, 3])
    return image


def _random_crop(encoded):
    """8 to 100 % of the area, aspect 3:4 to 4:3; of a JPEG only that part is decoded.

    ImageNet has an image or two that are PNG whatever their names say, which `decode_jpeg` decodes as well.
    """

    def part():
        return tf.image.decode_and_crop_jpeg(encoded, _random_window(tf.image.extract_jpeg_shape(encoded)), channels=3)

    def part_of_whole():
        image = tf.image.decode_jpeg(encoded, channels=3)
        return tf.image.crop_to_bounding_box(image, *tf.unstack(_random_window(tf.shape(image))))

    return tf.cond(tf.image.is_jpeg(encoded), part, part_of_whole)


def _random_window(shape):
    """``[top, left, height, width]``."""
    begin, extent, _ = tf.image.sample_distorted_bounding_box(
        shape,
        bounding_boxes=tf.zeros([1, 0, 4]),
        min_object_covered=0.1,
        aspect_ratio_range=[3.0 / 4, 4.0 / 3],
        area_range=[0.08, 1.0],
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.stack([begin[0], begin[1], extent[0], extent[1]])


def _central_crop(encoded):
    image = tf.image.decode_jpeg(encoded, channels=3)
    height, width = tf.unstack(tf.shape(image)[:2])
    side = tf.cast(tf.cast(tf.minimum(height, width), tf.float32) * _CENTRAL_SHARE, tf.int32)
    return tf.image.crop_to_bounding_box(image, (height - side) // 2, (width - side) // 2, side, side)
