"""What an exported file must not be, whatever made it."""

from collections import Counter

from ai_edge_litert import schema_py_generated as schema

from keras_frm.export.report import ExportError

_NAMES = {
    code: name
    for name, code in vars(schema.BuiltinOperator).items()
    if not name.startswith("_")
}

# Operation -> why a file with it is no good on a device.
_FORBIDDEN = {
    "ASSIGN_VARIABLE": "a BatchNorm or another layer still trains",
    "READ_VARIABLE": "weights are variables, not constants",
    "VAR_HANDLE": "weights are variables, not constants",
    "SPACE_TO_BATCH_ND": "a dilated convolution became three operations, which GPU "
    "delegates lack",
    "BATCH_TO_SPACE_ND": "a dilated convolution became three operations, which GPU "
    "delegates lack",
}


def operations(content: bytes) -> Counter:
    """Count the operations of a TFLite file by name.

    Args:
        content: The flatbuffer.
    """
    model = schema.Model.GetRootAs(content, 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    names = [_name(code) for code in codes]
    counts = Counter()
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            counts[names[graph.Operators(position).OpcodeIndex()]] += 1
    return counts


def check_operations(content: bytes) -> None:
    """Refuse operations that devices lack, and shapes that are not fixed.

    Custom operations, variables and what a dilated convolution turns into are refused;
    every other builtin operation passes.

    Args:
        content: The flatbuffer.

    Raises:
        ExportError: There is one; the message says which and why it matters.
    """
    # Known causes first: a variable also brings operations that only it needs.
    for name in sorted(operations(content), key=lambda name: name not in _FORBIDDEN):
        if name in _FORBIDDEN:
            raise ExportError(f"The file has {name}: {_FORBIDDEN[name]}.")
        if name.startswith("CUSTOM "):
            raise ExportError(
                f"The file has the operation '{name[7:]}', which the plain LiteRT "
                "runtime lacks (a Flex operation needs all of TensorFlow)."
            )
    for tensor in _tensors(content):
        if tensor.ShapeSignatureLength() and (tensor.ShapeSignatureAsNumpy() < 0).any():
            raise ExportError(
                f"Tensor '{tensor.Name().decode()}' has no fixed shape: delegates "
                "need static shapes."
            )


def check_integers(content: bytes) -> None:
    """Refuse a file in which anything is computed in float.

    Args:
        content: The flatbuffer.

    Raises:
        ExportError: A tensor is no integer one; the message names it.
    """
    floats = {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16}
    for tensor in _tensors(content):
        if tensor.Type() in floats:
            raise ExportError(
                f"Tensor '{tensor.Name().decode()}' is float: an accelerator without "
                "float cannot run the file."
            )


def _tensors(content):
    model = schema.Model.GetRootAs(content, 0)
    for place in range(model.SubgraphsLength()):
        graph = model.Subgraphs(place)
        for index in range(graph.TensorsLength()):
            yield graph.Tensors(index)


def _name(code):
    """Return the name of an operation, "CUSTOM x" for one that is not built in."""
    custom = code.CustomCode()
    if custom:
        return f"CUSTOM {custom.decode(errors='replace')}"
    # Older files have the code in a field of one byte.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    return _NAMES.get(number, f"OPERATION_{number}")
