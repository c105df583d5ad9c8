"""A graph that rounds as an ONNX file with int8 convolutions does, and trains."""

from collections.abc import Callable, Collection, Sequence

import keras
import numpy as np

from keras_frm.graph.graph import Call, Graph, in_turn, map_tensors, rebuild
from keras_frm.quantization.calibrate import calibrate
from keras_frm.quantization.cross_layer_equalization import equalize_cross_layer
from keras_frm.quantization.layers.quantize_dequantize import (
    QuantizeDequantize,
    WeightQuantizedConvolution,
)
from keras_frm.quantization.qdq.plan import QdqPlan


def qdq_graph(
    graph: keras.Model,
    images: Sequence[np.ndarray],
    *,
    unchanged: Collection[str] = (),
    keep_float: Sequence[str] = (),
    float_depthwise: bool = False,
    freeze_after: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> keras.Model:
    """Measure ranges, and round kernels and what convolutions take.

    Args:
        graph: A Functional model of primitive layers, rewritten for ONNX.
        images: Arrays (H, W, 3), RGB in [0, 255], at the graph's size.
        unchanged: Names of operations that must take the numbers they take now.
        keep_float: Names of operations to leave in float; `*` stands for anything.
        float_depthwise: Whether depthwise convolutions stay float.
        freeze_after: Training steps after which the ranges stay; None for never.
        progress: Called with the number of images done and None.

    Returns:
        A Functional model with `WeightQuantizedConvolution` and `QuantizeDequantize`
        layers.

    Raises:
        ValueError: A tensor is not finite, or no operation has a name of `keep_float`.
    """
    graph = equalize_cross_layer(graph, images, unchanged)
    plan = QdqPlan(Graph(graph), keep_float, float_depthwise)
    ranges = calibrate(graph, plan, images, progress)
    pairs = {
        name: QuantizeDequantize(*ends, freeze_after=freeze_after, name=f"{name}.range")
        for name, ends in ranges.items()
    }
    rounded: dict[int, keras.KerasTensor] = {}  # of one tensor, one pair serves all

    def pair_on(x, tensor):
        if id(tensor) not in rounded:
            rounded[id(tensor)] = pairs[plan.name(tensor)](x)
        return rounded[id(tensor)]

    kernels = {
        call.operation: WeightQuantizedConvolution.of(call.operation)
        for call in plan.convolutions
    }
    replacements: dict[keras.Operation, list[_QuantizedCall]] = {}
    for call in plan.graph.calls:
        operation = kernels.get(call.operation, call.operation)
        new = _QuantizedCall(operation, call, plan, pair_on)
        replacements.setdefault(call.operation, []).append(new)
    return rebuild(
        graph,
        {
            operation: in_turn(calls)
            for operation, calls in replacements.items()
            if operation in kernels or any(call.positions for call in calls)
        },
    )


class _QuantizedCall:
    """An operation some of whose arguments come from pairs of nodes."""

    def __init__(self, operation, call: Call, plan: QdqPlan, pair_on: Callable):
        self.operation = operation
        self.pair_on = pair_on
        self.positions = {
            position: tensor
            for position, tensor in enumerate(call.inputs)
            if plan.takes_integers(call, tensor)
        }

    def __call__(self, *args, **kwargs):
        args, kwargs = map_tensors(self._enter, args, kwargs)
        return self.operation(*args, **kwargs)

    def _enter(self, position, x):
        if position not in self.positions:
            return x
        return self.pair_on(x, self.positions[position])
