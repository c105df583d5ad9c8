"""The operations of a graph, computing as the kernels of an int8 file do."""

from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_frm.graph.convolutions import Convolution
from keras_frm.graph.graph import Call, tensors_in
from keras_frm.quantization.cross_layer_equalization import undoes_equalization
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.quantize import Quantize
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution
from keras_frm.quantization.layers.quantized_layer_norm import QuantizedLayerNorm
from keras_frm.quantization.layers.quantized_leaky_relu import QuantizedLeakyRelu
from keras_frm.quantization.layers.quantized_multiply import QuantizedMultiply
from keras_frm.quantization.layers.quantized_pooling import (
    QuantizedGlobalPooling,
)
from keras_frm.quantization.layers.quantized_resize import QuantizedResize
from keras_frm.quantization.plan import Plan


class IntegerArithmetic:
    """What takes the place of each operation, and what clips its result.

    A kernel of an int8 file multiplies and adds integers and requantises once, to the
    grid of its result. The layers here give those numbers, the layer of the range
    clips them. What has no layer here computes in float and is rounded by its range:
    the same numbers for activations and for sums, which round nothing; for others
    (differences, poolings over edges), all but those next to the middle of two steps.

    Both methods are for `insert_fake_quant`.

    Args:
        plan: Which tensors of a graph have ranges.
        ranges: Name of a range -> the layer that clips to it.
    """

    def __init__(self, plan: Plan, ranges: Mapping[str, FakeQuant]):
        self.plan = plan
        self.ranges = ranges
        self._layers: dict[keras.Operation | str, keras.layers.Layer] = {}
        self._grids: dict[str, tuple] = {}
        self._members = {
            id(tensor): number
            for tensors in plan.tensors_by_range().values()
            for number, tensor in enumerate(tensors)
        }

    def fake_quant(self, x, tensor):
        """Fake-quantise a tensor of the new graph.

        Args:
            x: The tensor.
            tensor: The one of the plan's graph that it stands for.
        """
        name = self.plan.range_name(tensor)
        layer, grid = self.ranges[name], self._grid(name, x)
        if id(tensor) not in self.plan.integer_tensors:
            entry = f"{self.plan.tensor_name(tensor)}.quantize"
            x = self._layer(entry, _quantize)(x, grid[2])
        if isinstance(layer, MovingAverageFakeQuant):
            return layer(x, grid, member=self._members[id(tensor)])
        return layer(x, grid)

    def operation_for(self, call: Call) -> Callable:
        """Return what takes the place of a call's operation."""
        operation = call.operation
        if isinstance(operation, keras.layers.LayerNormalization):
            return self._normalization_for(call)
        make = _maker_of(call) if self.plan.is_integer(call) else None
        if make is None:
            return operation
        layer = self._layer(operation, make)
        names = [self.plan.range_name(tensor) for tensor in call.inputs]
        # The others keep their input's.
        if make in (QuantizedConvolution.of, _leaky_relu, _multiply):
            names.append(self.plan.output_range(call))

        def run(*args, **kwargs):
            inputs = tensors_in((args, kwargs))
            grids = [self._grid(name, inputs[0]) for name in names]
            numbers = [scale for _, _, scale in grids]
            if make is _global_pooling:
                numbers.append(grids[0][0])  # they round from the smallest number on
            return layer(*inputs, *numbers)

        return run

    def _normalization_for(self, call):
        operation, (tensor,), unit = call.operation, call.inputs, 1.0
        maker = self.plan.graph.maker(tensor)
        if maker is not None and undoes_equalization(maker.operation):
            (tensor,), unit = maker.inputs, float(np.min(maker.operation.gamma))
        is_integer = id(tensor) in self.plan.integer_tensors
        if not is_integer or not _is_usual(operation, len(tensor.shape)):
            return operation
        name = self.plan.range_name(tensor)
        layer = self._layer(operation, lambda _: QuantizedLayerNorm.of(operation, unit))
        return lambda x, **_: layer(x, self._grid(name, x)[2])

    def _layer(self, key, make):
        """Return the layer of an operation or a name, one for all calls."""
        if key not in self._layers:
            self._layers[key] = make(key)
        return self._layers[key]

    def _grid(self, name, x):
        """Return smallest and largest number of a range and the scale.

        Once for all who need them: a training step moves the range, and all of the
        step is to see the same one.
        """
        if name not in self._grids:
            self._grids[name] = self.ranges[name](x, only_grid=True)
        return self._grids[name]


def _is_usual(norm, rank):
    """Return whether a LayerNormalization is over the channels, scales and shifts."""
    axes = {axis % rank for axis in np.ravel(norm.axis)}
    plain = norm.scale and norm.center and not getattr(norm, "rms_scaling", False)
    return plain and axes == {rank - 1}


def _maker_of(call):
    """Return what makes a layer on integers of an operation, None without one."""
    operation, kind = call.operation, type(call.operation).__name__
    ranks = [len(tensor.shape) for tensor in call.inputs]
    if isinstance(operation, Convolution):
        return QuantizedConvolution.of
    if kind == "Multiply" and ranks == ranks[:1] * 2:  # of two tensors of one rank
        return _multiply
    if kind == "LeakyRelu":
        return _leaky_relu
    if kind == "Resize" and operation.interpolation == "bilinear":
        return _resize
    return _global_pooling if kind == "GlobalAveragePooling2D" else None


def _quantize(name):
    return Quantize(name=name, dtype="float32")


def _leaky_relu(operation):
    return QuantizedLeakyRelu(
        operation.negative_slope, name=operation.name, dtype="float32"
    )


def _multiply(operation):
    return QuantizedMultiply(name=operation.name, dtype="float32")


def _global_pooling(operation):
    return QuantizedGlobalPooling(
        operation.keepdims, name=operation.name, dtype="float32"
    )


def _resize(operation):
    return QuantizedResize(operation.size, name=operation.name, dtype="float32")
