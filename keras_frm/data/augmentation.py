"""Random scale, crop, flip and colour of an image and its label, from one seed."""

import tensorflow as tf

from keras_frm.data import view
from keras_frm.labels import IGNORE_LABEL


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
    draws = tf.random.stateless_uniform((view.DRAWS,), seed)
    return view_of(
        image,
        label,
        draws,
        crop=crop,
        scale_range=scale_range,
        flip=flip,
        colour_jitter=colour_jitter,
        ignore_label=ignore_label,
    )


def view_of(
    image: tf.Tensor,
    label: tf.Tensor,
    draws: tf.Tensor,
    *,
    crop: tuple[int, int],
    scale_range: tuple[float, float],
    flip: bool,
    colour_jitter: float,
    ignore_label: int = IGNORE_LABEL,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the view of an image and its label that nine numbers choose.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 train ids.
        draws: (9,) float32 in [0, 1), see `keras_frm.data.view`.
        crop: See `augment`, and so the others.
        scale_range: Lowest and highest factor of the size.
        flip: Whether views may be mirrored.
        colour_jitter: Largest relative change of the colours.
        ignore_label: Label of the padding.

    Returns:
        (h, w, 3) uint8 RGB and (h, w) uint8 train ids.

    Example:
    >>> image, label = tf.zeros((4, 4, 3), tf.uint8), tf.constant([[1, 2, 3, 4]] * 4)
    >>> options = {"crop": (1, 4), "scale_range": (1, 1), "colour_jitter": 0}
    >>> view_of(image, label, tf.zeros(9), flip=True, **options)[1].numpy()
    array([[4, 3, 2, 1]], dtype=int32)
    """
    draws = tf.unstack(draws, view.DRAWS)
    scale = view.scale_of(draws, scale_range)
    rows = view.place(tf, tf.shape(label)[0], crop[0], scale, draws[1], draws[2])
    columns = view.place(tf, tf.shape(label)[1], crop[1], scale, draws[3], draws[4])

    label = _resize_nearest(_cut(label, rows, columns), rows, columns)  # (h', w')
    image = _cut(image, rows, columns)
    image = tf.image.resize(image, (rows.filled, columns.filled))  # (h', w', 3) float32
    if colour_jitter:
        image = _jitter(image, draws, colour_jitter)
    image = tf.cast(image + 0.5, tf.uint8)  # rounds

    image, label = _pad(image, label, rows, columns, crop, ignore_label)
    if flip:
        # tf.reverse takes a twentieth of the time of a slice with step -1.
        image, label = tf.cond(
            view.is_flipped(draws),
            lambda: (tf.reverse(image, [1]), tf.reverse(label, [1])),
            lambda: (image, label),
        )
    return tf.ensure_shape(image, (*crop, 3)), tf.ensure_shape(label, crop)


def _cut(pixels: tf.Tensor, rows: view.Place, columns: view.Place) -> tf.Tensor:
    """Cut the source region out: (H, W, ...) -> (taken rows, taken columns, ...)."""
    top, left = rows.start, columns.start
    return pixels[top : top + rows.taken, left : left + columns.taken]


def _resize_nearest(label, rows: view.Place, columns: view.Place) -> tf.Tensor:
    """Resize a label, half-pixel nearest: (H, W) -> (h', w').

    Two gathers take half the time of `tf.image.resize(..., "nearest")` and give the
    same, in integers.
    """
    for axis, place in enumerate((rows, columns)):
        position = tf.range(place.filled)
        source = view.nearest_source(position, place.taken, place.filled)
        label = tf.gather(label, source, axis=axis)
    return label


def _jitter(image: tf.Tensor, draws: list, amount: float) -> tf.Tensor:
    """Change brightness, contrast and saturation: (h, w, 3) float32."""
    step = view.MEAN_STEP
    colour = tf.reduce_mean(image[::step, ::step], axis=(0, 1))  # (3,)
    mean = tf.reduce_sum(colour * view.LUMINANCE)
    matrix, offset = view.colour_change(draws, amount, mean)
    return tf.clip_by_value(tf.tensordot(image, matrix, 1) + offset, 0, 255)


def _pad(image, label, rows: view.Place, columns: view.Place, crop, ignore_label: int):
    """Pad to the crop's size: with the mean colour and with the ignore label."""
    above, below = rows.before, crop[0] - rows.filled - rows.before
    left, right = columns.before, crop[1] - columns.filled - columns.before

    def colour(height, width) -> tf.Tensor:
        pixel = tf.constant(view.PAD_COLOUR, tf.uint8)
        return tf.broadcast_to(pixel, (height, width, 3))

    def pad() -> tuple:
        height = rows.filled
        middle = tf.concat([colour(height, left), image, colour(height, right)], 1)
        padded = tf.concat(
            [colour(above, crop[1]), middle, colour(below, crop[1])], 0
        )  # (h, w, 3)
        margins = [[above, below], [left, right]]
        return padded, tf.pad(label, margins, constant_values=ignore_label)

    is_full = tf.equal(above + below + left + right, 0)
    return tf.cond(is_full, lambda: (image, label), pad)
