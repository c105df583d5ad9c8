"""Quantisation after training: ranges from images, no further training."""

from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np

from keras_frm.graph.graph import Graph
from keras_frm.quantization.calibrate import calibrate, check_weights
from keras_frm.quantization.cross_layer_equalization import equalize_cross_layer
from keras_frm.quantization.fake_quantize import fake_quantize
from keras_frm.quantization.kept_float import check_names
from keras_frm.quantization.plan import Plan
from keras_frm.targets import Target, rewrite


def prepare_for_integers(
    graph: keras.Model, target: Target, images: Sequence[np.ndarray]
) -> keras.Model:
    """Rewrite a float graph for integer kernels, and bring its channels to one size.

    Args:
        graph: A Functional model of primitive layers and static size.
        target: What it is for.
        images: Arrays (H, W, 3), RGB in [0, 255], at the graph's size.
    """
    graph = rewrite(graph, target.passes)
    # An integer LayerNorm would have to divide what equalisation multiplies.
    return equalize_cross_layer(graph, images) if target.keeps_float else graph


def quantize_after_training(
    graph: keras.Model,
    images: Iterable[np.ndarray],
    keep_float: Sequence[str] = (),
    progress: Callable[[int, int | None], None] | None = None,
    integer_only: bool = False,
) -> keras.Model:
    """Simulate int8 arithmetic in a graph, with ranges measured on images.

    Weights need no ranges: the converter takes each output channel's largest.

    Args:
        graph: A Functional model of primitive layers, see `inference_graph`.
        images: Arrays (H, W, 3), RGB in [0, 255], at the graph's size.
        keep_float: Names of operations to leave in float; `*` stands for anything.
        progress: Called with the number of images done and None.
        integer_only: Whether nothing at all stays float.

    Returns:
        A Functional model that computes what the int8 file will.

    Raises:
        ValueError: An operation has no rule, `keep_float` names none, a weight is not
            finite, or the images do not fit.
    """
    plan = Plan(Graph(graph), keep_float, integer_only)
    check_names(plan.graph, plan.keep_float)
    check_weights(graph)
    return fake_quantize(graph, plan, calibrate(graph, plan, images, progress))
