"""`quantize_aware`: a network that trains with the arithmetic of an int8 file."""

import math
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np

from keras_frm.backend import require_tensorflow
from keras_frm.data.representative import images_of
from keras_frm.graph.flatten import flatten, in_float32, plain_network
from keras_frm.graph.strides import logits_by_stride
from keras_frm.models.quantized_model import QuantizedSegmentationModel
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.quantization.calibrate import check_weights
from keras_frm.quantization.freeze import is_quantized
from keras_frm.quantization.kept_float import check_kept_float
from keras_frm.quantization.qdq.graph import qdq_graph
from keras_frm.quantization.trainable_graph import (
    CALIBRATION_IMAGES,
    read_besides,
    trainable_graph,
)
from keras_frm.targets import rewrite, target_of_scheme


@in_float32()
def quantize_aware(
    model: keras.Model,
    *,
    representative_data: Iterable,
    input_shape: tuple[int, int] | tuple[int, int, int] | None = None,
    scheme: str = "litert",
    keep_float: Sequence[str] = (),
    float_depthwise: bool = False,
    freeze_after: int | None = None,
    teacher: keras.Model | None = None,
    distillation_weight: float = 1.0,
    progress: Callable[[int, int | None], None] | None = None,
) -> keras.Model:
    """Return a copy of a trained network that trains as an int8 file computes.

    BatchNorms are folded, dilated depthwise convolutions split, GELU takes its sigmoid
    form; channels are brought to one size where convolutions can take that up. Every
    convolution rounds its kernel to int8, channel by channel, and every tensor that
    the file holds as integers is rounded to a range that starts from
    `representative_data` and follows training. LayerNorm and attention stay float.
    In inference the model computes the numbers of its file, bit by bit as XNNPACK
    runs it, up to the attention's round-off.

    Of scheme "tensorrt", convolutions round what they take and their kernels, and
    nothing else is rounded or rewritten: see `keras_frm.quantization.qdq.plan`.

    Args:
        model: A trained `SegmentationModel`, or a built Functional model from an image
            in [0, 255].
        representative_data: Images to start the ranges from: a dataset of (image,
            label) batches or an iterable of images, of any size, not augmented; the
            first 100 are used.
        input_shape: Height and width (and channels) to train and export at; None
            takes the model's, if it has a fixed size.
        scheme: "litert" for TFLite files, "tensorrt" for ONNX files.
        keep_float: Names of operations to leave in float; `*` stands for anything.
        float_depthwise: Whether depthwise convolutions stay float, which some versions
            of TensorRT have no int8 kernel for. With scheme "tensorrt" only.
        freeze_after: Training steps after which the ranges stay; None for never.
        teacher: A float model whose class probabilities are to be learnt too. For a
            `SegmentationModel` only.
        distillation_weight: Weight of that loss.
        progress: Called with the number of images done and None.

    Returns:
        A `SegmentationModel` (with the embedding head, preset and loss of `model`), or
        a Functional model; to be compiled. After its training, see `recalibrate`.

    Raises:
        ValueError: The model is quantised already, has no fixed size, is not built,
            has weights or tensors that are not finite, an operation without a rule, or
            something that could not be exported; or an argument is wrong.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, 2018, section 3.

    Example:
    >>> import numpy as np
    >>> image = keras.Input((8, 8, 3))
    >>> model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    >>> images = [np.full((8, 8, 3), 200)]
    >>> trainable = quantize_aware(model, representative_data=images)
    >>> [type(layer).__name__ for layer in trainable.layers]
    ['InputLayer', 'FakeQuant', 'MovingAverageFakeQuant', 'QuantizedConvolution']
    """
    require_tensorflow("Training for int8")
    target = target_of_scheme(scheme)
    _check_model(model)
    shape = _input_shape(model, input_shape)
    _check_steps(freeze_after)
    if float_depthwise and scheme != "tensorrt":
        raise ValueError(
            "float_depthwise goes with scheme='tensorrt'; name the convolutions in "
            "keep_float."
        )
    if teacher is not None:
        _check_teacher(teacher, model, shape, distillation_weight)
    if representative_data is None:
        raise ValueError(
            "quantize_aware needs representative_data: images to start the ranges from."
        )
    images = images_of(representative_data, shape[:2], CALIBRATION_IMAGES)
    graph = rewrite(flatten(model, shape, batch_size=None), target.passes)
    logits_by_stride(graph)
    if graph.output.shape[-1] == 1:
        raise ValueError(
            f"Model '{model.name}' puts out one channel: the mask of its file would be "
            "0 everywhere. Give the background a class of its own."
        )
    check_weights(graph)
    options = {
        "unchanged": read_besides(model),
        "keep_float": keep_float,
        "freeze_after": freeze_after,
        "progress": progress,
    }
    if scheme == "tensorrt":
        network = qdq_graph(graph, images, float_depthwise=float_depthwise, **options)
    else:
        check_kept_float(graph, keep_float)
        network = trainable_graph(graph, images, **options)
    if not isinstance(model, SegmentationModel):
        return network
    return QuantizedSegmentationModel.of(
        model, network, teacher=teacher, distillation_weight=distillation_weight
    )


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"A model of Keras 3 is needed, not {type(model).__name__}. Load a file "
            "with keras_frm.load_model first."
        )
    if is_quantized(plain_network(model)):
        raise ValueError(
            f"Model '{model.name}' is quantised already; start from the float model."
        )


def _check_steps(freeze_after):
    if freeze_after is None or (isinstance(freeze_after, int) and freeze_after >= 0):
        return
    raise ValueError(
        f"freeze_after is a number of steps, 0 or more, or None; not {freeze_after!r}."
    )


def _check_teacher(teacher, model, shape, weight):
    if not isinstance(model, SegmentationModel):
        raise ValueError(
            "teacher needs a SegmentationModel, whose train_step knows a second loss. "
            "For other models, add the loss to your own training."
        )
    network = plain_network(teacher)
    taken = tuple(network.input.shape[1:])
    if any(
        known not in (None, size) for known, size in zip(taken, shape, strict=False)
    ):
        raise ValueError(
            f"The teacher takes images of shape {taken}, the training has {shape}; "
            "pass a teacher for images of any size."
        )
    known, learnt = network.output.shape[-1], model.num_classes
    if known != learnt:
        raise ValueError(
            f"The teacher has {known} classes, the model {learnt}; they must be the "
            "same."
        )
    if not 0 <= weight < math.inf:
        raise ValueError(
            f"distillation_weight must be a number, 0 or more, not {weight}."
        )


def _input_shape(model, given):
    """Return height, width and channels, static."""
    own = tuple(plain_network(model).input.shape[1:])
    if given is None and None in own:
        raise ValueError(
            f"Model '{model.name}' takes images of any size, an int8 file of one: pass "
            "input_shape=(height, width)."
        )
    shape = tuple(own if given is None else np.atleast_1d(given).tolist())
    shape = (*shape, 3) if len(shape) == 2 else shape
    whole = all(isinstance(side, int) and side > 0 for side in shape)
    if not whole or len(shape) != 3 or shape[2] != 3:
        raise ValueError(
            f"RGB images (height, width, 3) are needed, not {shape}; check input_shape "
            f"and the input of model '{model.name}'."
        )
    return shape
