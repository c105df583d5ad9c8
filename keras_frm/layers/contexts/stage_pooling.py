"""The four stages' features side by side at the last stage's size."""

import keras
from keras import ops

from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class StageConcatenation(CompositeLayer):
    """Average-pool the first three stages to the last one's size and concatenate.

    Kernel and stride are 8, 4 and 2. Odd sizes round up, as the backbone's strided
    convolutions do; a window over the border averages the pixels it has.

    Input: four features at strides 4, 8, 16, 32: (B, H_i, W_i, C_i).
    Output: (B, H_4, W_4, C_1 + C_2 + C_3 + C_4).

    Source: the FRM paper, eq. 1.

    Example:
    >>> sizes = ((9, 13, 2), (5, 7, 3), (3, 4, 4), (2, 2, 5))
    >>> tuple(StageConcatenation()([keras.ops.ones((1, *s)) for s in sizes]).shape)
    (1, 2, 2, 14)
    """

    def build(self, input_shapes):
        self.built = True

    def call(self, features):
        pooled = [
            ops.average_pool(feature, factor, factor, padding="same")
            for feature, factor in zip(features, (8, 4, 2), strict=False)
        ]
        return ops.concatenate([*pooled, features[-1]], axis=-1)  # (B, H_4, W_4, C)

    def compute_output_shape(self, input_shapes):
        channels = sum(shape[-1] for shape in input_shapes)
        return (*input_shapes[-1][:-1], channels)
