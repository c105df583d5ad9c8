"""Random scale, crop, flip and colour of a batch, computed where its arrays are.

The views are those of `keras_frm.data.augmentation`, from the same numbers, in a form
whose shapes are known: every pixel of the crop looks up where it comes from.
"""

from typing import NamedTuple

from keras import ops

from keras_frm.backend import Tensor
from keras_frm.data import view
from keras_frm.labels import IGNORE_LABEL


class _Sources(NamedTuple):
    """Where the pixels of a crop come from, along one axis: (crop,) each.

    Args:
        position: Number of the pixel among the filled ones, int32.
        inside: Whether it is one of these, and no padding.
        nearest: Source pixel of a label, int32.
        lower: Source pixel before, int32.
        upper: Source pixel behind, int32.
        share: Weight of the pixel behind, float32.
    """

    position: Tensor
    inside: Tensor
    nearest: Tensor
    lower: Tensor
    upper: Tensor
    share: Tensor


def augment(
    images: Tensor,
    labels: Tensor,
    draws: Tensor,
    *,
    crop: tuple[int, int],
    scale_range: tuple[float, float] = (0.5, 2.0),
    flip: bool = True,
    colour_jitter: float = 0.0,
    ignore_label: int = IGNORE_LABEL,
) -> tuple[Tensor, Tensor]:
    """Return random views of images and their labels.

    Args:
        images: (B, H, W, 3) uint8 RGB.
        labels: (B, H, W) uint8 train ids.
        draws: (B, 9) float32 in [0, 1), see `keras_frm.data.view`.
        crop: Height and width of the results, pixels.
        scale_range: Lowest and highest factor of the size, drawn evenly.
        flip: Mirror every other view, left to right.
        colour_jitter: Largest relative change of brightness, contrast and
            saturation, 0 to 1.
        ignore_label: Label of the padding.

    Returns:
        (B, h, w, 3) uint8 RGB, bilinear, and (B, h, w) uint8 train ids, nearest.

    Example:
    >>> images, labels = ops.zeros((2, 6, 8, 3), "uint8"), ops.zeros((2, 6, 8), "uint8")
    >>> options = {"crop": (16, 16), "scale_range": (1, 1)}
    >>> views, ids = augment(images, labels, ops.zeros((2, 9)), **options)
    >>> tuple(views.shape), int(ops.sum(ops.cast(ids == 0, "int32")))
    ((2, 16, 16, 3), 96)
    """

    def view_of(example):
        image, label, draws = example
        scale = view.scale_of(draws, scale_range)
        mirrored = view.is_flipped(draws) if flip else False
        height, width = label.shape
        rows = view.place(ops, height, crop[0], scale, draws[1], draws[2])
        columns = view.place(ops, width, crop[1], scale, draws[3], draws[4])
        rows = _sources(rows, crop[0], False)
        columns = _sources(columns, crop[1], mirrored)
        inside = rows.inside[:, None] & columns.inside  # (h, w)

        label = ops.take(label, rows.nearest, axis=0)  # (h, W)
        label = ops.take(label, columns.nearest, axis=1)  # (h, w)
        image = _resize_bilinear(image, rows, columns)  # (h, w, 3)
        if colour_jitter:
            image = _jitter(image, draws, colour_jitter, rows, columns, inside)
        image = ops.cast(image + 0.5, "uint8")  # rounds
        padding = ops.convert_to_tensor(view.PAD_COLOUR, "uint8")
        return (
            ops.where(inside[..., None], image, padding),
            ops.where(inside, label, ops.cast(ignore_label, "uint8")),
        )

    return ops.vectorized_map(view_of, (images, labels, draws))


def _sources(place: view.Place, crop: int, mirrored: Tensor | bool) -> _Sources:
    """Return where each pixel of a crop comes from, along one axis."""
    pixel = ops.arange(crop, dtype="int32")
    pixel = ops.where(mirrored, crop - 1 - pixel, pixel)
    inside = (pixel >= place.before) & (pixel < place.before + place.filled)
    position = ops.minimum(ops.maximum(pixel - place.before, 0), place.filled - 1)
    nearest = view.nearest_source(position, place.taken, place.filled)
    # As tf.image.resize: half-pixel centres, and no pixel beyond the part cut out.
    taken, filled = (ops.cast(n, "float32") for n in (place.taken, place.filled))
    centre = (ops.cast(position, "float32") + 0.5) * (taken / filled) - 0.5
    lower = ops.floor(centre)
    before = ops.maximum(ops.cast(lower, "int32"), 0)
    behind = ops.minimum(ops.cast(ops.ceil(centre), "int32"), place.taken - 1)
    return _Sources(
        position,
        inside,
        place.start + nearest,
        place.start + before,
        place.start + behind,
        centre - lower,
    )


def _resize_bilinear(image: Tensor, rows: _Sources, columns: _Sources) -> Tensor:
    """Look up the four neighbours of each pixel: (H, W, 3) -> (h, w, 3) float32."""

    def along_columns(row):
        strip = ops.take(image, row, axis=0)  # (h, W, 3)
        left, right = (
            ops.cast(ops.take(strip, column, axis=1), "float32")
            for column in (columns.lower, columns.upper)
        )  # (h, w, 3)
        return left + (right - left) * columns.share[:, None]

    above, below = along_columns(rows.lower), along_columns(rows.upper)
    return above + (below - above) * rows.share[:, None, None]


def _jitter(image, draws, amount: float, rows: _Sources, columns: _Sources, inside):
    """Change brightness, contrast and saturation: (h, w, 3) float32."""
    step = view.MEAN_STEP
    sampled = (rows.position % step == 0)[:, None] & (columns.position % step == 0)
    sampled = ops.cast(inside & sampled, "float32")  # (h, w)
    grey = sum(image[..., i] * share for i, share in enumerate(view.LUMINANCE))
    mean = ops.sum(grey * sampled) / ops.sum(sampled)
    matrix, offset = view.colour_change(draws, amount, mean)
    # No product of matrices: on a GPU it would round to TensorFloat-32.
    changed = sum(image[..., i, None] * matrix[i] for i in range(3))
    return ops.clip(changed + offset, 0, 255)
