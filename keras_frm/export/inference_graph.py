"""The trained model as the graph that a device runs."""

import keras

from keras_frm.export.head import with_head
from keras_frm.graph.flatten import flatten, in_float32
from keras_frm.graph.strides import at_stride
from keras_frm.targets import rewrite, target_of


@in_float32()
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
        output_stride: 1 for the input's size; the network's own stride (4 for FRM) to
            leave out the last resizing.
        precision: Precision of a .tflite file, see `keras_frm.targets`, for the kernels
            of which the graph is made. It is not quantised here.

    Returns:
        A Functional model of static shape with batch 1 that shares no weights with
        `model`.

    Raises:
        ValueError: There is no such precision, output or stride, or the model does not
            take this size.

    Example:
    >>> from keras_frm.networks.registry import build_network
    >>> network = build_network(11, backbone="van_tiny", decoder_width=32)
    >>> graph = inference_graph(network, input_shape=(64, 96))
    >>> graph.output.shape, graph.output.dtype
    ((1, 64, 96), 'uint8')
    """
    target = target_of(precision)
    logits = logits_graph(model, input_shape, output_stride)
    return with_head(rewrite(logits, target.passes), output)


def logits_graph(
    model: keras.Model,
    input_shape: tuple[int, int] | tuple[int, int, int],
    output_stride: int,
) -> keras.Model:
    """Return a model as a graph of primitive operations, up to logits of a stride.

    Args:
        model: See `inference_graph`.
        input_shape: See `inference_graph`.
        output_stride: See `inference_graph`.

    Returns:
        A Functional model of static shape with batch 1, not rewritten.
    """
    shape = (*input_shape, 3) if len(input_shape) == 2 else tuple(input_shape)
    return at_stride(flatten(model, shape), output_stride)
