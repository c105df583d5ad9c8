"""The trained model as the graph that a device runs."""

import keras

from keras_frm.deploy.commute_resize import commute_resize
from keras_frm.deploy.flatten import flatten
from keras_frm.deploy.fold_batch_norm import fold_batch_norm
from keras_frm.deploy.fold_rescaling import fold_rescaling
from keras_frm.deploy.fold_scale import fold_layer_scale, fold_residual_scale
from keras_frm.deploy.head import at_stride, with_head
from keras_frm.deploy.integer_layer_norm import integer_layer_norm
from keras_frm.deploy.integer_softmax import integer_softmax
from keras_frm.deploy.precisions import Precision, precision_of
from keras_frm.deploy.scale_to_depthwise import scale_to_depthwise
from keras_frm.deploy.separate_activations import separate_activations
from keras_frm.deploy.sigmoid_gelu import sigmoid_gelu
from keras_frm.deploy.split_depthwise import split_depthwise

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


def inference_graph(
    model: keras.Model,
    *,
    input_shape: tuple[int, int] | tuple[int, int, int],
    output: str = "mask",
    output_stride: int = 1,
    precision: str = "float32",
) -> keras.Model:
    """Rewrite a trained model for fast inference at one size.

    BatchNorms and layer scales are folded, 7x7 depthwise convolutions split, and for
    float kernels the decoder's last convolution runs before the resizing of its
    inputs. All of it is exact up to float32 round-off. For integer kernels GELU takes
    its sigmoid form, which is not exact.

    Args:
        model: A `SegmentationModel`, or a Functional model from an image to logits.
        input_shape: Height and width, or with the 3 channels.
        output: "mask" (uint8 class ids), "logits" or "scores", see `with_head`.
        output_stride: 1 for the input's size, 4 to leave out the last resizing.
        precision: A name of `PRECISIONS`, for the kernels of which the graph is made.
            It is not quantised here.

    Returns:
        A Functional model of static shape with batch 1 that shares no weights with
        `model`.

    Example:
    >>> from keras_frm.models.network import build_network
    >>> network = build_network(11, backbone="van_tiny", decoder_width=32)
    >>> graph = inference_graph(network, input_shape=(64, 96))
    >>> graph.output.shape, graph.output.dtype
    ((1, 64, 96), 'uint8')
    """
    shape = (*input_shape[:2], 3) if len(input_shape) == 2 else tuple(input_shape)
    graph = at_stride(flatten(model, shape), output_stride)
    return with_head(rewrite_for(graph, precision), output)


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
