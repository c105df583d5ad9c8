"""Sampling between pixels: to another size with aligned corners, and along a flow.

Both are layers that a graph shows whole: dissolved, a sampling is four gathers.
"""

import keras
from keras import ops

from keras_frm.backend import Tensor


@keras.saving.register_keras_serializable(package="keras_frm")
class AlignedUpsampling(keras.layers.Layer):
    """Resize features to the size of others, the corners' pixels on each other.

    Input: features (B, h, w, C) and what has the wanted size, (B, H, W, ...).
    Output: (B, H, W, C).

    Source: `F.interpolate(align_corners=True)` of PyTorch.

    Example:
    >>> x = keras.ops.array([[[[0.0], [3.0]]]])
    >>> y = AlignedUpsampling()(x, keras.ops.ones((1, 1, 4, 1)))
    >>> y[0, 0, :, 0].numpy().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    def build(self, x_shape, reference_shape):
        self.built = True

    def call(self, x, reference):
        return sample_bilinear(x, *_even_grid(reference, x))

    def compute_output_shape(self, x_shape, reference_shape):
        return (*reference_shape[:3], x_shape[-1])

    def get_config(self):
        # Without one of its own, Keras takes no policy as an argument.
        return super().get_config()


@keras.saving.register_keras_serializable(package="keras_frm")
class FlowWarp(keras.layers.Layer):
    """Sample features along a flow of the wanted size; outside they are zero.

    Args:
        align_corners: Whether -1 and 1, the ends of the samples without a flow, are the
            centres of the features' outermost pixels; their outer edges otherwise, half
            outside, where what does not flow is enlarged too.

    Input: features (B, h, w, C) and flow (B, H, W, 2): to the right and down, in pixels
    of a map of its own size over [-1, 1]. Output: (B, H, W, C).

    Source: `flow_warp` of SFSegNets, `F.grid_sample(align_corners=True)`, and of
    BiAlignNet, without it.

    Example:
    >>> x = keras.ops.array([[[[1.0], [2.0], [4.0]]]])
    >>> still = keras.ops.zeros((1, 1, 3, 2))
    >>> FlowWarp()(x, still)[0, 0, :, 0].numpy().tolist()
    [1.0, 2.0, 4.0]
    """

    def __init__(self, align_corners: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.align_corners = align_corners

    def build(self, x_shape, flow_shape):
        self.built = True

    def call(self, x, flow):
        height, width = ops.shape(flow)[1:3]
        edge = 0.0 if self.align_corners else 0.5
        rows, columns = _even_grid(flow, x, edge)  # (1, H, 1), (1, 1, W)
        flow = ops.cast(flow, rows.dtype)  # (B, H, W, 2): x, y
        # The published grid adds flow / size to coordinates in [-1, 1], which span
        # size - 1 pixels of the map, or size with its edges.
        span_y, span_x = _half_span(x, rows.dtype, edge)
        rows = rows + flow[..., 1] * span_y / ops.cast(height, rows.dtype)
        columns = columns + flow[..., 0] * span_x / ops.cast(width, rows.dtype)
        return sample_bilinear(x, rows, columns)  # (B, H, W, C)

    def compute_output_shape(self, x_shape, flow_shape):
        return (*flow_shape[:3], x_shape[-1])

    def get_config(self):
        return {**super().get_config(), "align_corners": self.align_corners}


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


def _even_grid(fine, coarse, edge=0.0):
    """Return where the fine pixels lie in the coarse map, evenly from end to end.

    The ends are the outermost pixels' centres, or `edge` of a pixel beyond.
    """
    dtype = keras.backend.result_type(fine.dtype, "float32")
    height, width = ops.shape(fine)[1:3]
    span_y, span_x = _half_span(coarse, dtype, edge)
    rows = ops.arange(height, dtype=dtype) * _per_step(2 * span_y, height, dtype)
    columns = ops.arange(width, dtype=dtype) * _per_step(2 * span_x, width, dtype)
    rows, columns = rows - edge, columns - edge
    return ops.reshape(rows, (1, -1, 1)), ops.reshape(columns, (1, 1, -1))


def _half_span(x, dtype, edge=0.0):
    """Return half the pixels between the ends: (h - 1) / 2 + edge, likewise of w."""
    height, width = ops.shape(x)[1:3]
    spans = (ops.cast(side - 1, dtype) / 2 + edge for side in (height, width))
    return tuple(spans)


def _per_step(span, steps, dtype):
    """Divide a span over the gaps between `steps` points, which may be one point."""
    return span / ops.cast(ops.maximum(steps - 1, 1), dtype)
