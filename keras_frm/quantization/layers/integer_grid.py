"""Scales that everybody computes alike, and rounding as integer kernels round."""

import tensorflow as tf

_FLOAT32_BITS = 24


def round_mantissa(x, bits: int = 12):
    """Round numbers to a few significant bits.

    Products of two numbers of twelve bits, and of one with an integer of eight bits,
    are exact in float32. So a scale comes out the same wherever it is computed, from
    the ends of a range or from the largest weight of a channel, in whatever order. It
    moves by an eighth of a thousandth at most.

    Args:
        x: Tensor. In float64, no way of computing it puts it on the other side of the
            middle of two results.
        bits: How many.

    Returns:
        Float32 tensor; no gradient goes through.

    Example:
    >>> float(round_mantissa(1 / 3) * 255) / 255 == float(round_mantissa(1 / 3))
    True
    """
    dropped = _FLOAT32_BITS - bits
    pattern = tf.bitcast(tf.cast(x, tf.float32), tf.int32) + (1 << dropped - 1)
    pattern = tf.bitwise.bitwise_and(pattern, -(1 << dropped))
    return tf.bitcast(pattern, tf.float32)


def nudged_grid(low, high):
    """Return the grid of 8-bit numbers next to given ends of a range.

    Zero is one of the numbers, and their scale has twelve significant bits.

    Args:
        low: Smallest number, a scalar, 0 or less.
        high: Largest number, a scalar, 0 or more.

    Returns:
        Smallest number, largest number and scale: scalar float32 tensors.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, 2018, section 3.1.

    Example:
    >>> [round(float(number), 2) for number in nudged_grid(-0.999, 1.551)]
    [-1.0, 1.55, 0.01]
    """
    low, high = tf.cast(low, tf.float64), tf.cast(high, tf.float64)
    scale = round_mantissa((high - low) / 255)
    below = tf.round(-low / tf.cast(scale, tf.float64))  # the integer of zero
    below = tf.cast(tf.clip_by_value(below, 0, 255), tf.float32)
    return -below * scale, (255 - below) * scale, scale


def rescale_and_round(x, multiplier, scale):
    """Return `x * multiplier`, rounded, times `scale`; halves go to the even integer.

    With a sum of integers as `x` and the quotient of scales as `multiplier` it is
    requantisation as XNNPACK's kernels do it: one multiplication in float32 before
    the rounding. With float numbers and the inverse of a scale it is quantisation.

    Args:
        x: Float32 tensor.
        multiplier: What makes integers of it: a scalar, or one number for each channel.
        scale: Distance of the results, a scalar.

    Returns:
        Tensor as `x`. Gradients pass as if nothing were rounded.

    Example:
    >>> rescale_and_round(tf.constant([3.0, 5.0, -8.0]), 0.5, 0.25).numpy().tolist()
    [0.5, 0.5, -1.0]
    """

    @tf.custom_gradient
    def rounded(x):
        y = tf.round(ordered_product(x, multiplier)) * scale
        return y, lambda upstream: upstream * (multiplier * scale)

    return rounded(tf.convert_to_tensor(x))


def ordered_product(x, factor):
    """Return `x * factor` where `x` may be a product itself.

    TensorFlow multiplies a chain of factors in the order it likes, which is not the
    order of an int8 file. It leaves this operation alone.

    Args:
        x: Tensor.
        factor: Tensor of its dtype, without zeros where `x` may be infinite.

    Example:
    >>> ordered_product(tf.constant([2.0]), 3.0).numpy().tolist()
    [6.0]
    """
    return tf.raw_ops.MulNoNan(x=x, y=tf.cast(factor, x.dtype))
