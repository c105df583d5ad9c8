"""From float logits to the graph that a .tflite file holds."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_frm.export.head import with_head
from keras_frm.export.request import ExportRequest
from keras_frm.quantization.after_training import (
    prepare_for_integers,
    quantize_after_training,
)
from keras_frm.quantization.freeze import freeze
from keras_frm.targets import rewrite


def device_graph(
    logits: keras.Model,
    request: ExportRequest,
    images: Sequence[np.ndarray],
    progress: Callable[[int, int | None], None] | None = None,
) -> keras.Model:
    """Rewrite and, for integers, quantise a graph, and give it its output.

    Args:
        logits: A graph of `logits_graph`.
        request: What is exported.
        images: Arrays (h, w, 3) to measure ranges on.
        progress: Called with the number of images done and None.

    Returns:
        A Functional model to be converted.
    """
    target, output = request.target, request.output
    if request.trained:
        return with_head(freeze(logits), output)
    if not request.calibrated:
        return with_head(rewrite(logits, target.passes), output)
    return quantize_after_training(
        with_head(prepare_for_integers(logits, target, images), output),
        images,
        request.keep_float,
        progress,
        integer_only=not target.keeps_float,
    )
