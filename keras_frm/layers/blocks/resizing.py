"""Bilinear resizing to another tensor's size."""

from collections.abc import Callable, Sequence

import keras
from keras import ops

from keras_frm.backend import Tensor, is_tensorflow
from keras_frm.layers.blocks.corner_sampling import AlignedUpsampling
from keras_frm.layers.composite import CompositeLayer


def resize_like(x: Tensor, reference: Tensor) -> Tensor:
    """Resize features to the height and width of other features.

    Half-pixel bilinear interpolation, the one TFLite and ONNX share; the reference
    implementations align corners instead.

    Args:
        x: (B, h, w, C) tensor.
        reference: (B, H, W, ...) tensor, known or unknown size.

    Returns:
        (B, H, W, C) tensor of the dtype of `x`.
    """
    size = tuple(reference.shape[1:3])
    if None not in size and size == tuple(x.shape[1:3]):
        return x
    # The operation computes in float32 anyway; XLA fails at its gradient where the
    # input is of half precision.
    is_half = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    wide = ops.cast(x, "float32") if is_half else x
    if None in size and is_tensorflow():
        from keras_frm.backend.tensorflow.resizing import resize_to_size_of

        return ops.cast(resize_to_size_of(wide, reference), x.dtype)
    y = ops.image.resize(wide, size, interpolation="bilinear")
    return ops.cast(y, x.dtype) if is_half else y


def upsamplings(
    names: Sequence[str], align_corners: bool, dtype
) -> list[Callable[[Tensor, Tensor], Tensor]]:
    """Return what resizes features to the size of others, one for each name.

    Half-pixel ones are functions, which a layer's parts do not show; the others are
    layers, for a graph has them whole.

    Args:
        names: Names of the layers.
        align_corners: Whether the corners' pixels lie on each other.
        dtype: Dtype policy of the layer that owns them.

    Example:
    >>> upsample, _ = upsamplings(["up_1", "up_2"], align_corners=True, dtype=None)
    >>> x = keras.ops.array([[[[0.0], [3.0]]]])
    >>> upsample(x, keras.ops.ones((1, 1, 4, 1)))[0, 0, :, 0].numpy().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    if not align_corners:
        return [resize_like] * len(names)
    return [AlignedUpsampling(name=name, dtype=dtype) for name in names]


@keras.saving.register_keras_serializable(package="keras_frm")
class BilinearUpsampling(CompositeLayer):
    """Resize logits to the size of the image they belong to.

    Input: logits (B, h, w, C) and image (B, H, W, 3). Output: (B, H, W, C).

    Example:
    >>> logits, image = keras.ops.ones((1, 2, 3, 5)), keras.ops.ones((1, 7, 9, 3))
    >>> tuple(BilinearUpsampling()(logits, image).shape)
    (1, 7, 9, 5)
    """

    def build(self, logits_shape, image_shape):
        self.built = True

    def call(self, logits, image):
        return resize_like(logits, image)

    def compute_output_shape(self, logits_shape, image_shape):
        return (*image_shape[:3], logits_shape[-1])
