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
    target = request.target
    if request.trained:
        graph = freeze(logits)
    elif request.calibrated:
        graph = prepare_for_integers(logits, target, images)
    else:
        graph = rewrite(logits, target.passes)
    graph = with_head(graph, request.output)
    if request.trained or not request.calibrated:
        return graph
    return quantize_after_training(
        graph,
        images,
        request.keep_float,
        progress,
        integer_only=not target.keeps_float,
    )
