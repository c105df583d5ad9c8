"""Flow alignment: upsampling that follows a predicted field of offsets."""

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class FlowAlignment(CompositeLayer):
    """Upsample deep features along offsets predicted from both levels.

    Corners are aligned, as in the published module, in the upsampling that feeds the
    flow and in the sampling itself. It needs gathers: phones run it slowly and no GPU
    delegate takes it.

    Args:
        filters: Channels both levels are cut to before the flow is predicted.

    Input: fine features (B, H, W, C) and coarse features (B, h, w, C).
    Output: the coarse features warped to (B, H, W, C).

    Source: Li et al., Semantic Flow for Fast and Accurate Scene Parsing, 2020, eq. 3-4.

    Example:
    >>> fine, coarse = keras.ops.ones((1, 7, 9, 4)), keras.ops.ones((1, 4, 5, 4))
    >>> tuple(FlowAlignment(2)(fine, coarse).shape)
    (1, 7, 9, 4)
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        shared = {"use_bias": False, "dtype": self.dtype_policy}
        self.cut_fine = keras.layers.Conv2D(filters, 1, name="cut_fine", **shared)
        self.cut_coarse = keras.layers.Conv2D(filters, 1, name="cut_coarse", **shared)
        self.flow = keras.layers.Conv2D(2, 3, padding="same", name="flow", **shared)

    def build(self, fine_shape, coarse_shape):
        self.cut_fine.build(fine_shape)
        self.cut_coarse.build(coarse_shape)
        self.flow.build((*fine_shape[:-1], 2 * self.filters))
        self.built = True

    def call(self, fine, coarse):
        height, width = ops.shape(fine)[1:3]
        rows, columns = _corner_grid(fine, coarse)  # (1, H, 1), (1, 1, W)
        cut = sample_bilinear(self.cut_coarse(coarse), rows, columns)
        flow = self.flow(ops.concatenate([cut, self.cut_fine(fine)], axis=-1))
        flow = ops.cast(flow, rows.dtype)  # (B, H, W, 2): x, y
        # The published grid adds flow / size to coordinates in [-1, 1], which span
        # size - 1 pixels of the coarse map.
        span_y, span_x = _half_span(coarse, rows.dtype)
        rows = rows + flow[..., 1] * span_y / ops.cast(height, rows.dtype)
        columns = columns + flow[..., 0] * span_x / ops.cast(width, rows.dtype)
        return sample_bilinear(coarse, rows, columns)  # (B, H, W, C)

    def compute_output_shape(self, fine_shape, coarse_shape):
        return (*fine_shape[:-1], coarse_shape[-1])

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def sample_bilinear(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sample features at fractional positions; outside the map they are zero.

    Args:
        x: (B, h, w, C) tensor.
        rows: Row of each sample, in pixels, that broadcasts to (B, H, W).
        columns: Column of each sample, likewise.

    Returns:
        (B, H, W, C) tensor of the dtype of `x`.
    """
    batch, height, width, channels = ops.shape(x)
    zeros = ops.zeros((batch, 1, 1), rows.dtype)
    rows, columns = rows + columns * 0 + zeros, columns + rows * 0 + zeros
    flat = ops.reshape(x, (-1, channels))  # (B * h * w, C)
    first = ops.reshape(ops.arange(batch) * height * width, (-1, 1, 1))
    top, left = ops.floor(rows), ops.floor(columns)
    last_row = ops.cast(height - 1, rows.dtype)
    last_column = ops.cast(width - 1, rows.dtype)

    total = 0.0
    for row, row_weight in ((top, top + 1 - rows), (top + 1, rows - top)):
        for column, column_weight in (
            (left, left + 1 - columns),
            (left + 1, columns - left),
        ):
            weight = row_weight * column_weight
            inside = (row >= 0) & (row <= last_row)
            inside = inside & (column >= 0) & (column <= last_column)
            weight = weight * ops.cast(inside, rows.dtype)
            # Clipped as floats: TFLite's converter makes a ReLU6 of a clip to [0, 6],
            # which it lacks for integers.
            r = ops.cast(ops.clip(row, 0, last_row), "int32")
            c = ops.cast(ops.clip(column, 0, last_column), "int32")
            values = ops.take(flat, first + r * width + c, axis=0)  # (B, H, W, C)
            total = total + values * ops.cast(ops.expand_dims(weight, -1), x.dtype)
    return total


def _corner_grid(fine, coarse):
    """Return where the fine pixels lie in the coarse map with corners aligned."""
    dtype = keras.backend.result_type(fine.dtype, "float32")
    height, width = ops.shape(fine)[1:3]
    span_y, span_x = _half_span(coarse, dtype)
    rows = ops.arange(height, dtype=dtype) * _per_step(2 * span_y, height, dtype)
    columns = ops.arange(width, dtype=dtype) * _per_step(2 * span_x, width, dtype)
    return ops.reshape(rows, (1, -1, 1)), ops.reshape(columns, (1, 1, -1))


def _half_span(x, dtype):
    """Return half the pixels between the corners: (h - 1) / 2, (w - 1) / 2."""
    height, width = ops.shape(x)[1:3]
    return ops.cast(height - 1, dtype) / 2, ops.cast(width - 1, dtype) / 2


def _per_step(span, steps, dtype):
    """Divide a span over the gaps between `steps` points, which may be one point."""
    return span / ops.cast(ops.maximum(steps - 1, 1), dtype)
