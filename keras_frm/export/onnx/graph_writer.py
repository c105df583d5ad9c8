"""Nodes of an ONNX graph, and values that know how their channels lie in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper


@dataclass(frozen=True)
class Value:
    """A tensor of a Keras graph inside an ONNX graph.

    Args:
        name: Its name in the ONNX graph.
        shape: Its shape in Keras, channels last.
        first: Whether the file has the channels after the batch.

    Example:
    >>> Value("x", (1, 4, 6, 3), first=True).stored_shape
    (1, 3, 4, 6)
    """

    name: str
    shape: tuple[int, ...]
    first: bool = False

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape in the file."""
        return tuple(self.shape[axis] for axis in self.order)

    @property
    def order(self) -> list[int]:
        """The axis in Keras of each axis in the file."""
        return channels_first(self.rank) if self.first else list(range(self.rank))

    def stored_axis(self, axis: int) -> int:
        """Return the axis in the file of an axis in Keras."""
        return self.order.index(axis % self.rank)


def stored_shape(shape: tuple[int, ...], first: bool) -> np.ndarray:
    """Return the shape in the file of a value, as a node takes it."""
    return np.array(Value("", shape, first).stored_shape, np.int64)


def channels_first(rank: int) -> list[int]:
    """Return the order of axes that puts the last one behind the first.

    Example:
    >>> channels_first(4)
    [0, 3, 1, 2]
    """
    return [0, rank - 1, *range(1, rank - 1)]


class GraphWriter:
    """Collects the nodes and constants of an ONNX graph.

    A value is transposed where a node asks for the other layout of it, and once.

    Args:
        opset: Version of the operations.
        float_type: "float32" or "float16", what floating point constants are stored as
            and computed in.
        open_batch: Whether the number of images is left open.
    """

    def __init__(
        self,
        opset: int = 17,
        float_type: str = "float32",
        open_batch: bool = False,
    ):
        self.opset = opset
        self.float_type = np.dtype(float_type)
        self.open_batch = open_batch
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple, onnx.TensorProto] = {}
        self._names: dict[str, int] = {}
        self._other_layout: dict[str, str] = {}
        self._padded: dict[str, tuple[Value, list[int]]] = {}

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes) -> str:
        """Add a node of one output and return the output's name.

        Args:
            kind: Kind of the node, such as "Conv".
            inputs: Names of its inputs; "" for one that is left out.
            name: Name to begin with; a number is added where it is taken.
            **attributes: Of the node.
        """
        name = self._unique(name)
        self.nodes.append(
            helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        )
        return name

    def constant(self, array: np.ndarray, name: str) -> str:
        """Add an array, of floats in the type of the graph, and return its name.

        Raises:
            ValueError: A number is too large for float16.
        """
        if array.dtype == np.float32:
            with np.errstate(over="ignore"):
                array = array.astype(self.float_type)
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has numbers that float16 does not hold.")
        return self.exact_constant(array, name)

    def exact_constant(self, array: np.ndarray, name: str) -> str:
        """Add an array in its own dtype and return its name; equal ones are one."""
        array = np.ascontiguousarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            tensor = numpy_helper.from_array(array, self._unique(name))
            self.constants[key] = tensor
        return self.constants[key].name

    def rename(self, name: str, new: str) -> None:
        """Give a value another name; what has it gets a number."""
        if name == new:
            return
        names = {name: new, new: self._unique(new)}
        for node in self.nodes:
            for ends in (node.input, node.output):
                ends[:] = [names.get(each, each) for each in ends]

    def note_padding(self, name: str, value: Value, pads: list[int]) -> None:
        """Remember that a value is another one with zeros around it."""
        self._padded[name] = (value, pads)

    def before_padding(self, value: Value) -> tuple[Value, list[int] | None]:
        """Return a value without the zeros around it, and how many they are, if any."""
        return self._padded.get(value.name, (value, None))

    def used_nodes(self, output: str) -> list[onnx.NodeProto]:
        """Return the nodes that an output needs, in their order."""
        needed, kept = {output}, []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        return kept[::-1]

    def first(self, value: Value) -> str:
        """Return the name of a value with its channels after the batch."""
        return value.name if value.first else self._transposed(value)

    def last(self, value: Value) -> str:
        """Return the name of a value with its channels last."""
        return self._transposed(value) if value.first else value.name

    def _transposed(self, value):
        if value.name not in self._other_layout:
            order = channels_first(value.rank)
            if value.first:
                order = [order.index(axis) for axis in range(value.rank)]
            layout = "last" if value.first else "first"
            self._other_layout[value.name] = self.node(
                "Transpose", [value.name], f"{value.name}.{layout}", perm=order
            )
        return self._other_layout[value.name]

    def _unique(self, name):
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if count == 0 else self._unique(f"{name}_{count}")
