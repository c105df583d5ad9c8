"""Any size of image for backbones that take multiples of a number only."""

import keras
from keras import ops

from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class PadToMultiple(CompositeLayer):
    """Add zeros below and to the right, up to a multiple in height and width.

    Args:
        multiple: What divides height and width of the result.

    Input: (B, H, W, C). Output: (B, H', W', C); the input where it needs nothing.

    Example:
    >>> PadToMultiple(32)(keras.ops.ones((1, 33, 64, 3))).shape
    TensorShape([1, 64, 64, 3])
    """

    def __init__(self, multiple: int, **kwargs):
        super().__init__(**kwargs)
        self.multiple = multiple

    def build(self, input_shape):
        self.built = True

    def call(self, x):
        rows, columns = (-side % self.multiple for side in ops.shape(x)[1:3])
        if isinstance(rows, int) and isinstance(columns, int) and rows + columns == 0:
            return x
        return ops.pad(x, [[0, 0], [0, rows], [0, columns], [0, 0]])

    def compute_output_shape(self, input_shape):
        sides = (side and side + -side % self.multiple for side in input_shape[1:3])
        return (input_shape[0], *sides, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(package="keras_frm")
class CropToStride(CompositeLayer):
    """Cut a map of a padded image to the size that the image itself asks for.

    Args:
        stride: Rows of the image for one row of the map; sizes round up.

    Input: map (B, h, w, C) and image (B, H, W, 3). Output: (B, ceil(H / stride),
    ceil(W / stride), C).

    Example:
    >>> stage, image = keras.ops.ones((1, 16, 16, 8)), keras.ops.ones((1, 33, 64, 3))
    >>> CropToStride(4)(stage, image).shape
    TensorShape([1, 9, 16, 8])
    """

    def __init__(self, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def build(self, stage_shape, image_shape):
        self.built = True

    def call(self, stage, image):
        rows, columns = (-(-side // self.stride) for side in ops.shape(image)[1:3])
        if (rows, columns) == tuple(stage.shape[1:3]):
            return stage
        return stage[:, :rows, :columns]

    def compute_output_shape(self, stage_shape, image_shape):
        sides = (side and -(-side // self.stride) for side in image_shape[1:3])
        return (stage_shape[0], *sides, stage_shape[3])

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}
