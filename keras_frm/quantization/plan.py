"""Which tensors of a graph hold integers in an int8 file, and which share a range."""

import difflib
import fnmatch
from collections.abc import Sequence

from keras_frm.graph.convolutions import Convolution
from keras_frm.graph.graph import Call, Graph
from keras_frm.graph.passes.separate_activations import is_plain
from keras_frm.layers.blocks.layer_scale import LayerScale
from keras_frm.quantization.operation_kinds import (
    ACTIVATIONS,
    COMPARING,
    FLOAT,
    FLOAT_BY_CHOICE,
    INTEGER,
    KERNEL_RANGES,
    SAME_RANGE,
    carries,
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

    Raises:
        ValueError: There is no rule for an operation, or no integer kernel where only
            integers are allowed.
    """

    def __init__(
        self,
        graph: Graph,
        keep_float: Sequence[str] = (),
        integer_only: bool = False,
    ):
        self.graph = graph
        # Of a text, `tuple` would make letters, and "*" among them stands for all.
        alone = isinstance(keep_float, str)
        self.keep_float = (keep_float,) if alone else tuple(keep_float)
        self.integer_only = integer_only
        self.integer: set[int] = set()  # ids of tensors
        self._same: dict[str, str] = {}
        self._names: dict[int, str] = {}  # tensor id -> name before sharing
        self.fixed = {IMAGE: IMAGE_RANGE}
        for call in graph.calls:
            self._add(call)

    def check_names(self) -> None:
        """Refuse names to keep float that no operation has.

        Raises:
            ValueError: There is one; the message says which names are near.
        """
        names = [call.operation.name for call in self.graph.calls]
        for pattern in self.keep_float:
            if not fnmatch.filter(names, pattern):
                near = difflib.get_close_matches(pattern, names, cutoff=0.0)
                raise ValueError(
                    f"keep_float: no operation is named '{pattern}'. The nearest "
                    f"names are: {', '.join(near)}."
                )

    def range_of(self, tensor) -> str | None:
        """Return the name of a tensor's range, None where it has none."""
        name = self._names.get(id(tensor))
        return None if name is None else self._root(name)

    def result_range(self, call: Call) -> str | None:
        """Return the name of the range that an integer call rounds its result to.

        It is that of the activation the call computes itself, where it does.
        """
        while self.is_integer(call) and self._is_fused(call):
            call = self.graph.only_user(call)
        return self.range_of(call.outputs[0])

    def name_of(self, tensor) -> str:
        """Return the name of the operation that makes a tensor, or of the image."""
        maker = self.graph.maker(tensor)
        return IMAGE if maker is None else maker.operation.name

    def is_door(self, call: Call, tensor) -> bool:
        """Return whether a float tensor enters an integer call."""
        return self.is_integer(call) and id(tensor) not in self.integer

    def is_contagious(self, tensor) -> bool:
        """Return whether integers would spread to what makes a float tensor.

        TFLite's converter runs operations that only move numbers in integers where
        their result is quantised, at whichever range is near.
        """
        maker = self.graph.maker(tensor)
        kind = type(maker.operation).__name__ if maker else None
        return kind in SAME_RANGE | {"Concatenate", "Einsum"}

    def leaves_integers(self, call: Call, tensor) -> bool:
        """Return whether an integer tensor enters a call that computes in float."""
        if self.is_integer(call) or type(call.operation).__name__ in COMPARING:
            return False
        return id(tensor) in self.integer

    def is_integer(self, call: Call) -> bool:
        """Return whether a call computes in integers."""
        return id(call.outputs[0]) in self.integer

    def tensors(self) -> dict[str, list]:
        """Return the tensors of every range, by its name."""
        ranges: dict[str, list] = {}
        for call in self.graph.calls:
            for tensor in (*call.inputs, *call.outputs):
                name = self.range_of(tensor)
                members = ranges.setdefault(name, []) if name else []
                if not any(tensor is member for member in members):
                    members.append(tensor)
        return ranges

    def _add(self, call: Call):
        """Decide about one call."""
        for tensor in call.inputs:
            if self.graph.maker(tensor) is None:
                self.integer.add(id(tensor))
                self._names[id(tensor)] = IMAGE
        if not self._computes_in_integers(call):
            return
        self.integer.update(map(id, call.outputs))
        name, kind = call.operation.name, type(call.operation).__name__
        for tensor in call.inputs:
            if self.is_door(call, tensor):
                self._names[id(tensor)] = self.name_of(tensor)
        if self._is_fused(call):
            return
        self._names.update((id(tensor), name) for tensor in call.outputs)
        if kind in KERNEL_RANGES:
            self.fixed[name] = KERNEL_RANGES[kind]
        elif kind in SAME_RANGE or kind == "Concatenate":
            self._share_inputs(call, name)
        elif self._adds_up(kernel := self._computing(call)):
            self._share_inputs(kernel, name)

    def _computing(self, call):
        """Return the call whose kernel computes a result, activations before it too."""
        maker = self.graph.maker(call.inputs[0])
        fused = maker and self.is_integer(maker) and self._is_fused(maker)
        return self._computing(maker) if fused else call

    def _adds_up(self, call):
        """Return whether a call adds tensors whose ranges are free.

        Of one step, integers are added as they are: no kernel rounds, and none in
        another way than the next. What they lose before the sum, it would lose.
        """
        is_sum = type(call.operation).__name__ == "Add" and len(call.inputs) > 1
        if not is_sum or self.integer_only:
            return False
        return {self.range_of(x) for x in call.inputs}.isdisjoint(self.fixed)

    def _computes_in_integers(self, call):
        """Return whether a call has an integer kernel and integers to compute with."""
        operation, kind = call.operation, type(call.operation).__name__
        if self._kept_float(call):
            return False
        if isinstance(operation, Convolution):
            # One channel is no work in float, and a softmax makes exponents of it.
            narrow = call.outputs[0].shape[-1] == 1 and not self.integer_only
            return not (narrow and self._feeds_float_only(call))
        any_integer = any(id(tensor) in self.integer for tensor in call.inputs)
        if carries(operation) and self._feeds_float_only(call):
            return False
        if isinstance(operation, LayerScale):
            return any_integer
        if kind in FLOAT_BY_CHOICE:
            return self.integer_only and any_integer
        if kind in INTEGER | SAME_RANGE | ACTIVATIONS:
            return any_integer
        if kind in FLOAT and self.integer_only:
            raise ValueError(
                f"{kind} '{operation.name}' has no integer kernel: the network cannot "
                "run in integers only."
            )
        if kind in FLOAT | COMPARING:
            return False
        raise ValueError(
            f"Quantisation has no rule for {kind} '{operation.name}'. Leave it in "
            f"float with keep_float=['{operation.name}']."
        )

    def _feeds_float_only(self, call):
        """Return whether only float operations take a call's result, in the end.

        A scale before a LayerNorm, of what was rounded, need not round again.
        """
        users = self.graph.users(call)
        if not users or self.graph.is_output(call):
            return False
        floats = FLOAT if self.integer_only else FLOAT | FLOAT_BY_CHOICE
        return all(
            type(user.operation).__name__ in floats
            or (carries(user.operation) and self._feeds_float_only(user))
            for user in users
        )

    def _is_fused(self, call):
        """Return whether an activation follows that the call computes itself."""
        user = self.graph.only_user(call)
        if user is None or self._kept_float(user):
            return False
        kind = type(user.operation).__name__
        return kind in ACTIVATIONS and (kind != "ReLU" or is_plain(user.operation))

    def _kept_float(self, call):
        """Return whether the user wants a call in float."""
        name = call.operation.name
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.keep_float)

    def _root(self, name):
        """Return the name that stands for all that share a range."""
        while name in self._same:
            name = self._same[name]
        return name

    def _share_inputs(self, call, name):
        """Let the inputs of a call have a range by its name."""
        for tensor in call.inputs:
            self._share(self._names[id(tensor)], name)

    def _share(self, first, second):
        """Let two ranges be one."""
        first, second = self._root(first), self._root(second)
        if second in self.fixed:
            first, second = second, first
        if first != second:
            self._same[second] = first
