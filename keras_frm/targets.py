"""The one table of what a network can be made for: file formats and precisions."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras

from keras_frm.graph.passes.commute_resize import commute_resize
from keras_frm.graph.passes.drop_clipped_relu import drop_clipped_relu
from keras_frm.graph.passes.fold_batch_norm import fold_batch_norm
from keras_frm.graph.passes.fold_layer_scale import fold_layer_scale
from keras_frm.graph.passes.fold_rescaling import fold_rescaling
from keras_frm.graph.passes.fold_residual_scale import fold_residual_scale
from keras_frm.graph.passes.integer_activations import integer_activations
from keras_frm.graph.passes.integer_layer_norm import integer_layer_norm
from keras_frm.graph.passes.integer_softmax import integer_softmax
from keras_frm.graph.passes.native_depthwise import native_depthwise
from keras_frm.graph.passes.primitive_layers import primitive_layers
from keras_frm.graph.passes.scale_to_depthwise import scale_to_depthwise
from keras_frm.graph.passes.separate_activations import separate_activations
from keras_frm.graph.passes.sigmoid_gelu import sigmoid_gelu
from keras_frm.graph.passes.split_depthwise import split_depthwise
from keras_frm.graph.passes.subpixel_convolution import subpixel_convolution
from keras_frm.graph.passes.uneven_biases import uneven_biases

Pass = Callable[[keras.Model], keras.Model]


@dataclass(frozen=True)
class Target:
    """A file format at a precision, and how a network gets there.

    Args:
        format: Format of the file.
        precision: Name of the precision.
        weights: Type of the weights in the file.
        activations: Type of most tensors between the operations.
        input_dtype: Type of the image that goes in.
        passes: Rewrites of the float graph, in their order; what they make trains.
        conversion_passes: Rewrites of the finished graph, before it is converted; what
            they make does not train.
        scheme: Name by which `quantize_aware` trains for it; None for not at all.
        calibrated: Whether ranges are measured on images.
        keeps_float: Whether LayerNorm and attention stay float in an integer file.
        floats: Type of what is computed in floating point.
        min_agreement: Smallest agreement with the Keras model that an export passes
            with, see `keras_frm.export.agreement`.
    """

    format: str
    precision: str
    weights: str
    activations: str
    input_dtype: str
    passes: tuple[Pass, ...]
    conversion_passes: tuple[Pass, ...] = ()
    scheme: str | None = None
    calibrated: bool = False
    keeps_float: bool = True
    floats: str = "float32"
    min_agreement: float = 1.0


_TO_PRIMITIVES = (separate_activations, primitive_layers)
_FOLDS = (fold_batch_norm, fold_layer_scale, fold_residual_scale)
_EXACT = (*_TO_PRIMITIVES, fold_rescaling, *_FOLDS, split_depthwise)
# Resizing k^2 maps costs integers more than the convolution it saves.
_FOR_FLOATS = (*_EXACT, commute_resize)
_FOR_INTEGERS = (
    *_EXACT,
    integer_activations,
    sigmoid_gelu,
    subpixel_convolution,
    scale_to_depthwise,
)
_FOR_INTEGERS_ONLY = (*_FOR_INTEGERS, integer_layer_norm, integer_softmax)

# Engines and ONNX Runtime take large depthwise convolutions and GELU as they are.
_FOR_ONNX = (*_TO_PRIMITIVES, fold_rescaling, *_FOLDS, integer_activations)
# Of an image in [0, 255], a range with zero in its middle would lose a bit.
_FOR_QDQ = (*_TO_PRIMITIVES, *_FOLDS, integer_activations)

_tflite = functools.partial(
    Target, format="tflite", conversion_passes=(native_depthwise,)
)
_tflite_integers = functools.partial(
    _tflite,
    calibrated=True,
    conversion_passes=(native_depthwise, drop_clipped_relu, uneven_biases),
)

_onnx = functools.partial(
    Target, format="onnx", input_dtype="uint8", passes=_FOR_ONNX, min_agreement=0.999
)

TARGETS = (
    _tflite(
        precision="float32",
        weights="float32",
        activations="float32",
        input_dtype="float32",
        passes=_FOR_FLOATS,
        min_agreement=0.999,
    ),
    _tflite(
        precision="float16",
        weights="float16",
        activations="float32",
        input_dtype="float32",
        passes=_FOR_FLOATS,
        min_agreement=0.999,
    ),
    _tflite(
        precision="dynamic",
        weights="int8",
        activations="float32",
        input_dtype="float32",
        passes=_FOR_FLOATS,
        min_agreement=0.97,
    ),
    _tflite_integers(
        precision="int8",
        weights="int8",
        activations="int8",
        input_dtype="uint8",
        passes=_FOR_INTEGERS,
        min_agreement=0.97,
        scheme="litert",
    ),
    _tflite_integers(
        precision="int8_full",
        weights="int8",
        activations="int8",
        input_dtype="uint8",
        passes=_FOR_INTEGERS_ONLY,
        min_agreement=0.95,
        keeps_float=False,
    ),
    _onnx(precision="float32", weights="float32", activations="float32"),
    _onnx(
        precision="float16", weights="float16", activations="float16", floats="float16"
    ),
    _onnx(
        precision="int8",
        weights="int8",
        activations="int8",
        floats="float16",
        passes=_FOR_QDQ,
        scheme="tensorrt",
    ),
)


def precisions_of(file_format: str) -> tuple[str, ...]:
    """Return the precisions of a file format.

    Example:
    >>> precisions_of("tflite")
    ('float32', 'float16', 'dynamic', 'int8', 'int8_full')
    """
    return tuple(t.precision for t in TARGETS if t.format == file_format)


def target_of(precision: str, file_format: str = "tflite") -> Target:
    """Return the target of a precision.

    Raises:
        ValueError: The format has no precision of this name.

    Example:
    >>> target_of("int8").input_dtype
    'uint8'
    """
    for target in TARGETS:
        if (target.format, target.precision) == (file_format, precision):
            return target
    raise ValueError(
        f"There is no precision '{precision}'. Choose one of: "
        f"{', '.join(precisions_of(file_format))}"
    )


def target_of_scheme(scheme: str) -> Target:
    """Return the target that a scheme of `quantize_aware` trains for.

    Raises:
        ValueError: There is no scheme of this name.

    Example:
    >>> target_of_scheme("tensorrt").format
    'onnx'
    """
    targets = {target.scheme: target for target in TARGETS if target.scheme}
    if scheme not in targets:
        raise ValueError(
            f"There is no scheme '{scheme}'. Choose one of: {', '.join(targets)}"
        )
    return targets[scheme]


def rewrite(graph: keras.Model, passes: Iterable[Pass]) -> keras.Model:
    """Run passes over a graph, one after the other.

    Args:
        graph: A Functional model of primitive layers and static size.
        passes: Of a `Target`.
    """
    for one in passes:
        graph = one(graph)
    return graph
