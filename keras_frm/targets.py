"""The precisions a network can be exported in."""

from dataclasses import dataclass

import keras

from keras_frm.graph.passes.commute_resize import commute_resize
from keras_frm.graph.passes.fold_batch_norm import fold_batch_norm
from keras_frm.graph.passes.fold_layer_scale import fold_layer_scale
from keras_frm.graph.passes.fold_rescaling import fold_rescaling
from keras_frm.graph.passes.fold_residual_scale import fold_residual_scale
from keras_frm.graph.passes.integer_layer_norm import integer_layer_norm
from keras_frm.graph.passes.integer_softmax import integer_softmax
from keras_frm.graph.passes.scale_to_depthwise import scale_to_depthwise
from keras_frm.graph.passes.separate_activations import separate_activations
from keras_frm.graph.passes.sigmoid_gelu import sigmoid_gelu
from keras_frm.graph.passes.split_depthwise import split_depthwise

_EXACT = (
    separate_activations,
    fold_rescaling,
    fold_batch_norm,
    fold_layer_scale,
    fold_residual_scale,
    split_depthwise,
)
# Resizing k^2 maps costs integers more than the convolution it saves.
_FOR_FLOATS = (commute_resize,)
_FOR_INTEGERS = (sigmoid_gelu, scale_to_depthwise)
_FOR_INTEGERS_ONLY = (*_FOR_INTEGERS, integer_layer_norm, integer_softmax)


@dataclass(frozen=True)
class Precision:
    """How an exported file computes.

    Args:
        weights: Type of the weights in the file.
        activations: Type of most tensors between the operations.
        input_dtype: Type of the image that goes in.
        calibrated: Whether ranges must be measured on images.
        keeps_float: Whether LayerNorm and attention stay float in an integer file.
        min_agreement: Smallest share of pixels with the Keras model's class that an
            export passes with, unless the caller says otherwise.
    """

    weights: str
    activations: str
    input_dtype: str
    calibrated: bool = False
    keeps_float: bool = True
    min_agreement: float = 0.999


PRECISIONS = {
    "float32": Precision("float32", "float32", "float32", min_agreement=0.9999),
    "float16": Precision("float16", "float32", "float32", min_agreement=0.995),
    "dynamic": Precision("int8", "float32", "float32", min_agreement=0.9),
    "int8": Precision("int8", "int8", "uint8", calibrated=True, min_agreement=0.8),
    "int8_full": Precision(
        "int8", "int8", "uint8", calibrated=True, keeps_float=False, min_agreement=0.7
    ),
}


def precision_of(name: str) -> Precision:
    """Return a precision by its name.

    Raises:
        ValueError: There is none of this name.

    Example:
    >>> precision_of("int8").input_dtype
    'uint8'
    """
    if name not in PRECISIONS:
        raise ValueError(
            f"There is no precision '{name}'. Choose one of: {', '.join(PRECISIONS)}"
        )
    return PRECISIONS[name]


def rewrite_for(graph: keras.Model, precision: str) -> keras.Model:
    """Run the passes that serve the kernels of a precision.

    Args:
        graph: A Functional model of primitive layers and static size.
        precision: A name of `PRECISIONS`.
    """
    for rewrite in (*_EXACT, *_rewrites(precision_of(precision))):
        graph = rewrite(graph)
    return graph


def _rewrites(precision: Precision):
    """Return the passes of a precision alone."""
    if not precision.calibrated:
        return _FOR_FLOATS
    return _FOR_INTEGERS if precision.keeps_float else _FOR_INTEGERS_ONLY
