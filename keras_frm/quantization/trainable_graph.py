"""A graph that rounds as an int8 file does, and whose kernels and ranges train."""

from collections.abc import Callable, Collection, Sequence

import keras
import numpy as np

from keras_frm.graph.graph import Graph
from keras_frm.quantization.calibrate import calibrate
from keras_frm.quantization.cross_layer_equalization import equalize_cross_layer
from keras_frm.quantization.fake_quantize import insert_fake_quant
from keras_frm.quantization.integer_arithmetic import IntegerArithmetic
from keras_frm.quantization.kept_float import check_names
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.plan import Plan

CALIBRATION_IMAGES = 100


def trainable_graph(
    graph: keras.Model,
    images: Sequence[np.ndarray],
    *,
    unchanged: Collection[str] = (),
    keep_float: Sequence[str] = (),
    freeze_after: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> keras.Model:
    """Bring channels to one size, measure ranges, and round kernels and tensors.

    Args:
        graph: A Functional model of primitive layers, rewritten for integers.
        images: Arrays (H, W, 3), RGB in [0, 255], at the graph's size.
        unchanged: Names of operations that must take the numbers they take now.
        keep_float: Names of operations to leave in float; `*` stands for anything.
        freeze_after: Training steps after which the ranges stay; None for never.
        progress: Called with the number of images done and None.

    Returns:
        A Functional model with `QuantizedConvolution` and `MovingAverageFakeQuant`
        layers.

    Raises:
        ValueError: A tensor is not finite, an operation has no rule, or no operation
            has a name of `keep_float`.
    """
    graph = equalize_cross_layer(graph, images, unchanged)
    plan = Plan(Graph(graph), keep_float)
    check_names(plan.graph, plan.keep_float)
    ranges = calibrate(graph, plan, images, progress)
    layers = {
        name: _range_layer(name, ranges[name], plan, tensors, freeze_after)
        for name, tensors in plan.tensors_by_range().items()
    }
    arithmetic = IntegerArithmetic(plan, layers)
    return insert_fake_quant(
        graph, plan, arithmetic.fake_quant, arithmetic.operation_for
    )


def read_besides(model: keras.Model) -> list[str]:
    """Return the operations whose input more than a model's network reads."""
    # The embedding head takes the features too.
    reader = getattr(model, "features_reader", None)
    return [] if reader is None else [reader]


def _range_layer(name, ends, plan, tensors, freeze_after):
    """Return the layer that rounds all tensors of one range."""
    options = {"name": f"{name}.range"}
    if name not in plan.fixed_ranges:
        options |= {"members": len(tensors), "freeze_after": freeze_after}
        return MovingAverageFakeQuant(*ends, **options)
    return FakeQuant(*ends, **options)
