"""Cut single operations out of a .tflite file, each as a file of its own."""

import copy
from collections.abc import Hashable
from typing import NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OPERATIONS = {
    code: name
    for name, code in vars(schema.BuiltinOperator).items()
    if not name.startswith("_")
}
_TYPES = {
    code: name.lower()
    for name, code in vars(schema.TensorType).items()
    if not name.startswith("_")
}
_SUPPORTED_VERSION = 3


class TensorShape(NamedTuple):
    """Shape and type of an operation's input or output.

    Args:
        shape: Sizes, as the file states them.
        dtype: Type in the file's words, such as "float32".
        constant: Whether the file holds the values.
    """

    shape: tuple[int, ...]
    dtype: str
    constant: bool

    def __str__(self):
        sizes = "x".join(map(str, self.shape)) or "scalar"
        return sizes if self.dtype == "float32" else f"{sizes} {self.dtype}"


class TFLiteGraph:
    """The main graph of a .tflite file, to be cut into single operations.

    Args:
        content: A .tflite file that has been checked: the flatbuffer is taken at its
            word.

    Example:
    >>> import tensorflow as tf
    >>> double = tf.function(lambda x: x + x, [tf.TensorSpec((1, 4), "float32")])
    >>> convert = tf.lite.TFLiteConverter.from_concrete_functions
    >>> graph = TFLiteGraph(convert([double.get_concrete_function()]).convert())
    >>> [graph.name(operation) for operation in graph.operations]
    ['ADD']
    """

    def __init__(self, content: bytes):
        self._model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        self._main = self._model.subgraphs[0]
        self.operations = list(self._main.operators or [])
        # Tensor -> the operation that makes it from constants alone, such as the
        # float values of float16 weights: the runtime treats these as constants.
        self._constant_makers = {}
        for operation in self.operations:
            inputs = self._inputs(operation)
            if inputs and all(self.is_constant(t) for t in inputs):
                self._constant_makers.update(
                    dict.fromkeys(_indices(operation.outputs), operation)
                )

    def name(self, operation: schema.OperatorT) -> str:
        """Return the kind of an operation, such as CONV_2D."""
        code = self._model.operatorCodes[operation.opcodeIndex]
        number = _builtin_code(code)
        if number == schema.BuiltinOperator.CUSTOM:
            return f"CUSTOM {_text(code.customCode)}"
        return _OPERATIONS.get(number, f"operation {number}")

    def place(self, operation: schema.OperatorT) -> str:
        """Return the name of the tensor that an operation puts out."""
        outputs = _indices(operation.outputs)
        return _text(self._main.tensors[outputs[0]].name) if outputs else ""

    def inputs(self, operation: schema.OperatorT) -> tuple[TensorShape, ...]:
        """Return the shapes of an operation's inputs; absent ones are left out."""
        return tuple(self._shape(t) for t in self._inputs(operation))

    def outputs(self, operation: schema.OperatorT) -> tuple[TensorShape, ...]:
        """Return the shapes of an operation's outputs."""
        return tuple(self._shape(t) for t in _indices(operation.outputs))

    def has_flexible_size(self) -> bool:
        """Tell whether an input's size, beyond the batch, is open in the file."""
        signatures = (
            self._main.tensors[t].shapeSignature for t in _indices(self._main.inputs)
        )
        return any(s is not None and min(s[1:], default=0) < 0 for s in signatures)

    def is_constant(self, tensor: int) -> bool:
        """Tell whether a tensor's values follow from the file alone."""
        data = self._model.buffers[self._main.tensors[tensor].buffer].data
        return (data is not None and len(data) > 0) or tensor in self._constant_makers

    def signature(self, operation: schema.OperatorT) -> Hashable:
        """Return what makes two operations take the same time, weights apart."""
        options = (operation.builtinOptions, operation.builtinOptions2)
        custom = operation.customOptions
        return (
            self.name(operation),
            tuple(str(o and sorted(vars(o).items())) for o in options),
            None if custom is None else bytes(np.asarray(custom, np.uint8)),
            # An absent input (-1) is a difference, such as a convolution's bias.
            tuple(t < 0 or self._key(t) for t in _values(operation.inputs)),
            tuple(self._key(t) for t in _indices(operation.outputs)),
        )

    def cut(self, operation: schema.OperatorT) -> bytes:
        """Make a .tflite file of one operation.

        Constants stay constants; operations that make constants come along.

        Args:
            operation: One of `operations`.

        Returns:
            The file; its inputs and outputs are the operation's that are computed.
        """
        operations = [*self._makers(operation), operation]
        tensors = [t for o in operations for t in self._inputs(o) + _indices(o.outputs)]
        number = {t: n for n, t in enumerate(dict.fromkeys(tensors))}
        codes, buffers = {}, [schema.BufferT()]
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors = [self._tensor(t, buffers) for t in number]
        graph.operators = []
        for needed in operations:
            renumbered = copy.copy(needed)
            renumbered.opcodeIndex = codes.setdefault(needed.opcodeIndex, len(codes))
            renumbered.inputs = [number.get(t, -1) for t in _values(needed.inputs)]
            renumbered.outputs = [number[t] for t in _indices(needed.outputs)]
            renumbered.intermediates = None
            graph.operators.append(renumbered)
        inputs = dict.fromkeys(self._inputs(operation))
        graph.inputs = [number[t] for t in inputs if not self.is_constant(t)]
        graph.outputs = [number[t] for t in _indices(operation.outputs)]
        model = schema.ModelT()
        model.version = _SUPPORTED_VERSION
        model.operatorCodes = [self._model.operatorCodes[index] for index in codes]
        model.subgraphs, model.buffers = [graph], buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(self, index, buffers):
        """Return a copy of a tensor whose values, if any, stand in `buffers`."""
        tensor = copy.copy(self._main.tensors[index])
        buffer = self._model.buffers[tensor.buffer]
        tensor.buffer = 0
        if buffer.data is not None and len(buffer.data):
            tensor.buffer = len(buffers)
            buffers.append(buffer)
        return tensor

    def _makers(self, operation):
        """Return the operations that make an operation's constants, in order."""
        wanted, found = list(self._inputs(operation)), []
        while wanted:
            maker = self._constant_makers.get(wanted.pop())
            if maker is not None and maker not in found:
                found.append(maker)
                wanted += self._inputs(maker)
        return [o for o in self.operations if o in found]

    def _inputs(self, operation):
        """Return the numbers of an operation's inputs that are not absent."""
        return _indices(operation.inputs)

    def _shape(self, index):
        tensor = self._main.tensors[index]
        shape = tuple(_values(tensor.shape))
        dtype = _TYPES.get(tensor.type, str(tensor.type))
        return TensorShape(shape, dtype, self.is_constant(index))

    def _key(self, index):
        """Return what of a tensor decides which kernel runs."""
        quantization = self._main.tensors[index].quantization
        scales = 0 if quantization is None else len(_values(quantization.scale))
        return self._shape(index), min(scales, 2)  # none, one, one per channel


def _builtin_code(code: schema.OperatorCodeT) -> int:
    """Return the number of an operation, in old files and in new ones."""
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _values(array) -> list:
    """Return an array of the file, which may be absent, as a list."""
    return [] if array is None else np.asarray(array).tolist()


def _indices(array) -> list[int]:
    """Return the tensor numbers of an array of the file, without absent ones."""
    return [index for index in _values(array) if index >= 0]


def _text(name: bytes | None) -> str:
    """Return a name of the file as text, whatever its bytes are."""
    return (name or b"").decode("utf-8", errors="replace")
