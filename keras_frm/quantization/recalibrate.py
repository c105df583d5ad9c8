"""`recalibrate`: ranges measured again, for weights that training has changed."""

from collections.abc import Callable, Iterable, Sequence

import keras

from keras_frm.data.representative import images_of
from keras_frm.graph.flatten import flatten, in_float32, plain_network
from keras_frm.graph.graph import rebuild, unchanged
from keras_frm.models.quantized_model import QuantizedSegmentationModel
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.quantization.freeze import scheme_of, without_fake_quant
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.trained_convolution import TrainedConvolution
from keras_frm.quantization.qdq.graph import qdq_graph
from keras_frm.quantization.trainable_graph import (
    CALIBRATION_IMAGES,
    read_besides,
    trainable_graph,
)


@in_float32()
def recalibrate(
    model: keras.Model,
    *,
    representative_data: Iterable,
    keep_float: Sequence[str] = (),
    progress: Callable[[int, int | None], None] | None = None,
) -> keras.Model:
    """Return a copy of a trained quantised model whose ranges are measured again.

    Training moves the weights away from what `quantize_aware` measured: channels that
    were of one size are not any more, and ranges follow slowly. The copy has the same
    weights, and less rounding noise. For the end of a training, before the export.

    Args:
        model: A model of `quantize_aware`, trained.
        representative_data: See `quantize_aware`.
        keep_float: What `quantize_aware` was given.
        progress: Called with the number of images done and None.

    Returns:
        A model of the same kind, not compiled.

    Raises:
        ValueError: The model is none of `quantize_aware`, or as there.

    Example:
    >>> import numpy as np
    >>> from keras_frm import quantize_aware
    >>> image = keras.Input((8, 8, 3))
    >>> model = keras.Model(image, keras.layers.Conv2D(2, 1, name="conv")(image))
    >>> trained = quantize_aware(model, representative_data=[np.zeros((8, 8, 3))])
    >>> images = [np.full((8, 8, 3), 200)]
    >>> new = recalibrate(trained, representative_data=images)
    >>> before, after = (m.get_layer("conv.range").scale() for m in (trained, new))
    >>> bool(after > 100 * before)
    True
    """
    scheme = scheme_of(model)
    if scheme is None:
        raise ValueError(
            f"Model '{model.name}' does not round; it takes keras_frm.quantize_aware."
        )
    network = plain_network(model)
    shape = tuple(network.input.shape[1:])
    ranges = [
        layer for layer in network.layers if isinstance(layer, MovingAverageFakeQuant)
    ]
    graph = _without_quantization(network, shape)
    images = images_of(representative_data, shape[:2], CALIBRATION_IMAGES)
    options = {
        "unchanged": read_besides(model),
        "keep_float": keep_float,
        "freeze_after": ranges[0].freeze_after if ranges else None,
        "progress": progress,
    }
    if scheme == "tensorrt":
        kernels = [x for x in network.layers if isinstance(x, TrainedConvolution)]
        float_depthwise = not any(layer.depthwise for layer in kernels)
        new = qdq_graph(graph, images, float_depthwise=float_depthwise, **options)
    else:
        new = trainable_graph(graph, images, **options)
    if not isinstance(model, SegmentationModel):
        return new
    distillation = {}
    if isinstance(model, QuantizedSegmentationModel):
        distillation["teacher"] = model.teacher
        distillation["distillation_weight"] = model.distillation_weight
    return QuantizedSegmentationModel.of(model, new, **distillation)


def _without_quantization(network, shape):
    """Return the float graph that a quantised one was made from, as it is now."""
    graph = without_fake_quant(flatten(network, shape, batch_size=None))
    boundaries = [x for x in graph.layers if isinstance(x, FloatBoundary)]
    return rebuild(graph, dict.fromkeys(boundaries, unchanged))
