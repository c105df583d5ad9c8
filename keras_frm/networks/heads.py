"""Heads that make logits, shared by several networks."""

import keras
from keras import ops

from keras_frm.layers import AlignedUpsampling, BilinearUpsampling, ConvBlock
from keras_frm.layers.blocks.normalization import batch_norm


def classifier_name(head: str) -> str:
    """Return the name of a head's classifier; the main head's is "classifier".

    Example:
    >>> classifier_name("head"), classifier_name("auxiliary")
    ('classifier', 'auxiliary_classifier')
    """
    return "classifier" if head == "head" else f"{head}_classifier"


def classifier(filters: int, head: str = "head") -> keras.layers.Conv2D:
    """Return the 1x1 convolution with a bias that makes a head's logits, in float32.

    Args:
        filters: Number of classes, times the pixels of a position.
        head: Name of the head.

    Example:
    >>> classifier(19)(keras.ops.ones((1, 4, 6, 8))).shape
    TensorShape([1, 4, 6, 19])
    """
    name = classifier_name(head)
    return keras.layers.Conv2D(filters, 1, dtype="float32", name=name)


def preactivation_head(
    x: keras.KerasTensor,
    num_classes: int,
    width: int,
    name: str,
    dtype,
    momentum: float = 0.9,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Add BatchNorm, ReLU, 3x3, BatchNorm, ReLU and the classifier, a 1x1 with a bias.

    Args:
        x: (B, H, W, C).
        num_classes: Channels of the logits.
        width: Channels between the convolutions.
        name: Prefix of the layers' names; the classifier of "head" is "classifier".
        dtype: Dtype policy; logits are float32 in any case.
        momentum: See `ConvBlock`.

    Returns:
        Logits (B, H, W, num_classes), and what the classifier takes.

    Source: `segmenthead` of DDRNet and PIDNet, `SegHead` of RTFormer.

    Example:
    >>> x = keras.Input((8, 8, 4))
    >>> logits, features = preactivation_head(x, 2, 16, "head", None)
    >>> logits.shape, features.shape
    ((None, 8, 8, 2), (None, 8, 8, 16))
    """
    x = ops.relu(batch_norm(f"{name}_norm", dtype, momentum=momentum)(x))
    conv = ConvBlock(width, 3, momentum=momentum, name=f"{name}_conv", dtype=dtype)
    features = conv(x)  # (B, H, W, width)
    return classifier(num_classes, name)(features), features


def at_image_size(
    logits: keras.KerasTensor, image: keras.KerasTensor, align_corners: bool = False
) -> keras.KerasTensor:
    """Resize logits to their image, the last step of most networks.

    Args:
        logits: (B, h, w, num_classes).
        image: (B, H, W, 3).
        align_corners: Whether corners are aligned; half-pixel otherwise.

    Returns:
        (B, H, W, num_classes), float32.

    Example:
    >>> at_image_size(keras.Input((4, 4, 2)), keras.Input((32, 32, 3))).shape
    (None, 32, 32, 2)
    """
    upsampling = AlignedUpsampling if align_corners else BilinearUpsampling
    return upsampling(dtype="float32", name="upsampling")(logits, image)
