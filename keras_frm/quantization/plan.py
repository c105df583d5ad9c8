"""Which tensors of a graph hold integers in an int8 file, and which share a range."""

from collections.abc import Sequence

from keras_frm.graph.graph import Call, Graph
from keras_frm.graph.passes.separate_activations import is_fusable
from keras_frm.quantization.integer_calls import computes_in_integers
from keras_frm.quantization.kept_float import is_kept_float, kept_names
from keras_frm.quantization.operation_kinds import (
    COMPARING,
    FIXED_RANGES,
    SAME_SCALE,
)

IMAGE = "image"
IMAGE_RANGE = (0.0, 255.0)


class Plan:
    """Where the tensors of a graph are quantised.

    Ranges have the name of the operation that makes the tensor; tensors that must
    share a range share a name.

    Args:
        graph: The graph of a model with one input, an image in [0, 255].
        keep_float: Names of operations to leave in float, `*` for anything.
        integer_only: Whether operations whose integer kernels are slow or coarse
            compute in integers too, and none in float.

    Attributes:
        integer_tensors: Ids of the tensors that hold integers in the file.
        fixed_ranges: Name of a range -> (minimum, maximum), where a kernel dictates it.

    Raises:
        ValueError: There is no rule for an operation, or no integer kernel where only
            integers are allowed.

    Example:
    >>> import keras
    >>> image = keras.Input((8, 8, 3), name="image")
    >>> x = keras.layers.Conv2D(4, 3, name="conv")(image)
    >>> x = keras.layers.MaxPooling2D()(keras.layers.ReLU(name="relu")(x))
    >>> plan = Plan(Graph(keras.Model(image, x)))
    >>> {name: len(tensors) for name, tensors in plan.tensors_by_range().items()}
    {'image': 1, 'relu': 2}
    """

    def __init__(
        self,
        graph: Graph,
        keep_float: Sequence[str] = (),
        integer_only: bool = False,
    ):
        self.graph = graph
        self.keep_float = kept_names(keep_float)
        self.integer_only = integer_only
        self.integer_tensors: set[int] = set()
        self.fixed_ranges = {IMAGE: IMAGE_RANGE}
        self._own_names: dict[int, str] = {}  # tensor id -> name before sharing
        self._shared_with: dict[str, str] = {}  # name of a range -> name for both
        for tensor in graph.inputs:
            self.integer_tensors.add(id(tensor))
            self._own_names[id(tensor)] = IMAGE
        for call in graph.calls:
            if computes_in_integers(self, call):
                self._add(call)

    # What the plan says of calls and tensors.

    def is_integer(self, call: Call) -> bool:
        """Return whether a call computes in integers."""
        return id(call.outputs[0]) in self.integer_tensors

    def quantizes_input(self, call: Call, tensor) -> bool:
        """Return whether a float tensor enters an integer call."""
        return self.is_integer(call) and id(tensor) not in self.integer_tensors

    def dequantizes_input(self, call: Call, tensor) -> bool:
        """Return whether an integer tensor enters a call that computes in float."""
        if self.is_integer(call) or type(call.operation).__name__ in COMPARING:
            return False
        return id(tensor) in self.integer_tensors

    def needs_float_boundary(self, tensor) -> bool:
        """Return whether a range on a float tensor would make its maker integer.

        TFLite's converter runs operations that only move numbers in integers where
        their result is quantised, at whichever range is near.
        """
        maker = self.graph.maker(tensor)
        kind = type(maker.operation).__name__ if maker else None
        return kind in SAME_SCALE | {"Concatenate", "Einsum"}

    def range_name(self, tensor) -> str | None:
        """Return the name of a tensor's range, None where it has none."""
        name = self._own_names.get(id(tensor))
        return None if name is None else self._root(name)

    def output_range(self, call: Call) -> str | None:
        """Return the name of the range that an integer call requantises to.

        It is that of the activation the call computes itself, where it does.
        """
        while self.is_integer(call) and self._fuses_activation(call):
            call = self.graph.only_user(call)
        return self.range_name(call.outputs[0])

    def tensors_by_range(self) -> dict[str, list]:
        """Return the tensors of every range, by its name."""
        ranges: dict[str, list] = {}
        for call in self.graph.calls:
            for tensor in (*call.inputs, *call.outputs):
                name = self.range_name(tensor)
                members = ranges.setdefault(name, []) if name else []
                if not any(tensor is member for member in members):
                    members.append(tensor)
        return ranges

    def tensor_name(self, tensor) -> str:
        """Return the name of the operation that makes a tensor, or of the image."""
        maker = self.graph.maker(tensor)
        return IMAGE if maker is None else maker.operation.name

    # Which ranges their tensors have.

    def _fuses_activation(self, call):
        """Return whether an activation follows that the call computes itself."""
        user = self.graph.only_user(call)
        if user is None or is_kept_float(user.operation, self.keep_float):
            return False
        return is_fusable(user.operation)

    def _add(self, call: Call):
        """Give an integer call's tensors their ranges."""
        self.integer_tensors.update(map(id, call.outputs))
        name, kind = call.operation.name, type(call.operation).__name__
        for tensor in call.inputs:
            if self.quantizes_input(call, tensor):
                self._own_names[id(tensor)] = self.tensor_name(tensor)
        if self._fuses_activation(call):
            return
        self._own_names.update((id(tensor), name) for tensor in call.outputs)
        if kind in FIXED_RANGES:
            self.fixed_ranges[name] = FIXED_RANGES[kind]
        elif kind in SAME_SCALE or kind == "Concatenate":
            self._share_inputs(call, name)
        elif self._is_sum_of_free_ranges(kernel := self._computing_call(call)):
            self._share_inputs(kernel, name)

    def _computing_call(self, call):
        """Return the call whose kernel computes a result; of fused ones the first."""
        maker = self.graph.maker(call.inputs[0])
        fused = maker and self.is_integer(maker) and self._fuses_activation(maker)
        return self._computing_call(maker) if fused else call

    def _is_sum_of_free_ranges(self, call):
        """Return whether a call adds tensors none of which has a fixed range.

        Of one scale, integers are added as they are: no kernel rounds, and none in
        another way than the next. What they lose before the sum, it would lose.
        """
        is_sum = type(call.operation).__name__ == "Add" and len(call.inputs) > 1
        if not is_sum or self.integer_only:
            return False
        return {self.range_name(x) for x in call.inputs}.isdisjoint(self.fixed_ranges)

    def _share_inputs(self, call, name):
        """Let the inputs of a call have the range of a name."""
        for tensor in call.inputs:
            self._share(self._own_names[id(tensor)], name)

    def _share(self, first, second):
        first, second = self._root(first), self._root(second)
        if second in self.fixed_ranges:
            first, second = second, first
        if first != second:
            self._shared_with[second] = first

    def _root(self, name):
        """Return the name that stands for all that share a range."""
        while name in self._shared_with:
            name = self._shared_with[name]
        return name
