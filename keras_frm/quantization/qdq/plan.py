"""Which tensors of an ONNX file pass a QuantizeLinear and a DequantizeLinear node."""

from collections.abc import Sequence

import keras

from keras_frm.graph.convolutions import is_convolution
from keras_frm.graph.graph import Call, Graph
from keras_frm.quantization.kept_float import check_names, is_kept_float, kept_names

_CONVOLUTIONS = keras.layers.Conv2D | keras.layers.DepthwiseConv2D


class QdqPlan:
    """Where the pairs of nodes are, as TensorRT fuses them.

    One pair is on what a convolution takes, and one on the other side of a sum with a
    convolution's result. Results have none of their own: bias, activation and sum are
    fused into a convolution before its result is quantised, and a pair in between would
    break that. Everything else computes in float: activations, LayerNorm, products,
    attention. So do convolutions of one channel, whose work is not worth a pair.

    Args:
        graph: The graph of a model of primitive layers.
        keep_float: Names of operations to leave in float, `*` for anything.
        float_depthwise: Whether depthwise convolutions stay float.

    Attributes:
        convolutions: Calls whose kernel is int8.
        fixed_ranges: None here; see `Plan`.

    Source: NVIDIA, TensorRT documentation, Working with Quantized Types, Q/DQ placement
    recommendations.

    Example:
    >>> image = keras.Input((8, 8, 3), name="image")
    >>> x = keras.layers.Conv2D(3, 3, padding="same", name="conv")(image)
    >>> y = keras.layers.Add(name="sum")([x, keras.layers.ReLU(name="relu")(image)])
    >>> plan = QdqPlan(Graph(keras.Model(image, y)))
    >>> list(plan.tensors_by_range())
    ['image', 'relu']
    """

    def __init__(
        self,
        graph: Graph,
        keep_float: Sequence[str] = (),
        float_depthwise: bool = False,
    ):
        self.graph = graph
        self.keep_float = kept_names(keep_float)
        self.float_depthwise = float_depthwise
        check_names(graph, self.keep_float)
        self.fixed_ranges: dict[str, tuple[float, float]] = {}
        self.convolutions = [call for call in graph.calls if self._has_kernel(call)]
        self._quantized: dict[int, list[Call]] = {}  # tensor id -> who takes integers
        self._tensors = {}
        for call in self.convolutions:
            self._add(*self._taken(call))
        for call in graph.calls:
            side = self._residual_side(call)
            if side is not None:
                self._add(side, call)

    def tensors_by_range(self) -> dict[str, list]:
        """Return the one tensor of every range, by the name of what makes it."""
        return {self.name(tensor): [tensor] for tensor in self._tensors.values()}

    def takes_integers(self, call: Call, tensor) -> bool:
        """Return whether a call takes a tensor from a pair of nodes."""
        return any(call is user for user in self._quantized.get(id(tensor), []))

    def name(self, tensor) -> str:
        """Return the name of the operation that makes a tensor, or of the image."""
        maker = self.graph.maker(tensor)
        return "image" if maker is None else maker.operation.name

    def _add(self, tensor, user):
        self._tensors[id(tensor)] = tensor
        self._quantized.setdefault(id(tensor), []).append(user)

    def _has_kernel(self, call):
        """Return whether a call is a convolution with an int8 kernel."""
        operation = call.operation
        if not isinstance(operation, _CONVOLUTIONS) or not is_convolution(operation):
            return False
        if is_kept_float(operation, self.keep_float):
            return False
        if isinstance(operation, keras.layers.DepthwiseConv2D) and self.float_depthwise:
            return False
        return call.outputs[0].shape[-1] > 1

    def _taken(self, call):
        """Return what a convolution takes, and the call that takes it.

        Padding becomes the convolution's own; the zeros are on any grid.
        """
        (tensor,) = call.inputs
        maker = self.graph.maker(tensor)
        if maker is None or self.graph.only_user(maker) is not call:
            return tensor, call
        if not isinstance(maker.operation, keras.layers.ZeroPadding2D):
            return tensor, call
        return maker.inputs[0], maker

    def _residual_side(self, call):
        """Return what a sum adds to a convolution's result; None for other calls."""
        if type(call.operation).__name__ != "Add" or len(call.inputs) != 2:
            return None
        if is_kept_float(call.operation, self.keep_float):
            return None
        first, second = call.inputs
        if first.shape != second.shape:
            return None
        for result, other in ((second, first), (first, second)):
            maker = self.graph.maker(result)
            alone = maker is not None and self.graph.only_user(maker) is call
            if alone and any(maker is each for each in self.convolutions):
                return other
        return None
