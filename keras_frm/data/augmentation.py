"""Random scale, crop, flip and colour of an image and its label, from one seed."""

import tensorflow as tf

from keras_frm.labels import IGNORE_LABEL

# The mean colour of ImageNet, rounded: zero after the model's normalisation.
_PAD_COLOUR = (124, 116, 104)
# Weights of red, green and blue in luminance, ITU-R BT.601.
_LUMINANCE = (0.299, 0.587, 0.114)


def augment(
    image: tf.Tensor,
    label: tf.Tensor,
    seed: tf.Tensor,
    *,
    crop: tuple[int, int],
    scale_range: tuple[float, float] = (0.5, 2.0),
    flip: bool = True,
    colour_jitter: float = 0.0,
    ignore_label: int = IGNORE_LABEL,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a random view of an image and its label.

    The part of the source that fills the crop is cut out first and only that part is
    resized: the same as resizing everything and cropping then, but for a source
    pixel's fraction in the place and an output pixel at the rim. An image too small
    for the crop lands at a random place in it.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 train ids.
        seed: (2,) integers; all randomness comes from them.
        crop: Height and width of the result, pixels.
        scale_range: Lowest and highest factor of the size, drawn evenly.
        flip: Mirror every other view, left to right.
        colour_jitter: Largest relative change of brightness, contrast and
            saturation, 0 to 1.
        ignore_label: Label of the padding.

    Returns:
        (h, w, 3) uint8 RGB, bilinear, and (h, w) uint8 train ids, nearest.

    Example:
    >>> image = tf.zeros((6, 8, 3), tf.uint8)
    >>> label = tf.zeros((6, 8), tf.uint8)
    >>> view, ids = augment(image, label, (1, 2), crop=(16, 16), scale_range=(1, 1))
    >>> view.shape, int(tf.reduce_sum(tf.cast(ids == 0, tf.int32)))
    (TensorShape([16, 16, 3]), 48)
    """
    draws = tf.unstack(tf.random.stateless_uniform((9,), seed))  # each in [0, 1)
    scale = scale_range[0] + draws[0] * (scale_range[1] - scale_range[0])
    rows = _place(tf.shape(label)[0], crop[0], scale, draws[1], draws[2])
    columns = _place(tf.shape(label)[1], crop[1], scale, draws[3], draws[4])

    label = _resize_nearest(_cut(label, rows, columns), rows, columns)  # (h', w')
    image = _cut(image, rows, columns)
    image = tf.image.resize(image, (rows[2], columns[2]))  # (h', w', 3) float32
    if colour_jitter:
        image = _jitter(image, draws[5:8], colour_jitter)
    image = tf.cast(image + 0.5, tf.uint8)  # rounds

    image, label = _pad(image, label, rows, columns, crop, ignore_label)
    if flip:
        # tf.reverse takes a twentieth of the time of a slice with step -1.
        image, label = tf.cond(
            draws[8] < 0.5,
            lambda: (tf.reverse(image, [1]), tf.reverse(label, [1])),
            lambda: (image, label),
        )
    return tf.ensure_shape(image, (*crop, 3)), tf.ensure_shape(label, crop)


def _place(size, crop: int, scale, offset_draw, pad_draw) -> tuple:
    """Choose which source pixels fill one axis of the crop, and where they land.

    Returns:
        First source pixel, number of source pixels, number of output pixels they
        become, and padding before them.
    """
    wanted = tf.cast(tf.round(crop / scale), tf.int32)
    taken = tf.clip_by_value(wanted, 1, size)
    start = tf.cast(offset_draw * tf.cast(size - taken + 1, tf.float32), tf.int32)
    filled = tf.cond(
        wanted <= size,
        lambda: crop,
        lambda: tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32),
    )
    filled = tf.clip_by_value(filled, 1, crop)
    before = tf.cast(pad_draw * tf.cast(crop - filled + 1, tf.float32), tf.int32)
    return start, taken, filled, before


def _cut(pixels: tf.Tensor, rows: tuple, columns: tuple) -> tf.Tensor:
    """Cut the source region out: (H, W, ...) -> (taken rows, taken columns, ...)."""
    top, height, _, _ = rows
    left, width, _, _ = columns
    return pixels[top : top + height, left : left + width]


def _resize_nearest(label: tf.Tensor, rows: tuple, columns: tuple) -> tf.Tensor:
    """Resize a label, half-pixel nearest: (H, W) -> (h', w').

    Two gathers take half the time of `tf.image.resize(..., "nearest")` and give the
    same, in integers.
    """
    for axis, (_, taken, filled, _) in enumerate((rows, columns)):
        source = (2 * tf.range(filled) + 1) * taken // (2 * filled)
        label = tf.gather(label, source, axis=axis)
    return label


def _jitter(image: tf.Tensor, draws: list, amount: float) -> tf.Tensor:
    """Change brightness, then contrast, then saturation: (h, w, 3) float32.

    All three are linear in a pixel's colour, so together they are one 3x3 matrix and
    one grey offset: a pass over the image in place of three.
    """
    brightness, contrast, saturation = (1 + amount * (2 * d - 1) for d in draws)
    luminance = tf.constant(_LUMINANCE)
    # Every fourth pixel each way gives the mean that contrast turns about.
    sample = tf.reduce_mean(image[::4, ::4], axis=(0, 1))  # (3,)
    mean = tf.tensordot(sample, luminance, 1)
    grey = tf.tile(luminance[:, None], (1, 3))  # (3, 3): colour -> grey
    matrix = saturation * tf.eye(3) + (1 - saturation) * grey  # (3, 3)
    offset = (1 - contrast) * brightness * mean
    changed = tf.tensordot(image, brightness * contrast * matrix, 1) + offset
    return tf.clip_by_value(changed, 0, 255)


def _pad(image, label, rows: tuple, columns: tuple, crop, ignore_label: int):
    """Pad to the crop's size: with the mean colour and with the ignore label."""
    above, below = rows[3], crop[0] - rows[2] - rows[3]
    left, right = columns[3], crop[1] - columns[2] - columns[3]

    def colour(height, width) -> tf.Tensor:
        return tf.broadcast_to(tf.constant(_PAD_COLOUR, tf.uint8), (height, width, 3))

    def pad() -> tuple:
        height = rows[2]
        middle = tf.concat([colour(height, left), image, colour(height, right)], 1)
        padded = tf.concat(
            [colour(above, crop[1]), middle, colour(below, crop[1])], 0
        )  # (h, w, 3)
        margins = [[above, below], [left, right]]
        return padded, tf.pad(label, margins, constant_values=ignore_label)

    is_full = tf.equal(above + below + left + right, 0)
    return tf.cond(is_full, lambda: (image, label), pad)
