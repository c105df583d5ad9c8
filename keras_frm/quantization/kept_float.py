"""What stays float by the user's wish: names that exist, operations a file has."""

import difflib
import fnmatch
from collections.abc import Sequence

import keras

from keras_frm.backend.tensorflow.tflite_converter import ConversionError, convert
from keras_frm.graph.graph import Graph


def kept_names(keep_float: Sequence[str]) -> tuple[str, ...]:
    """Return the names to keep float, of which one may come alone.

    Example:
    >>> kept_names("decoder.*")
    ('decoder.*',)
    """
    # Of a text, `tuple` would make letters, and "*" among them stands for all.
    return (keep_float,) if isinstance(keep_float, str) else tuple(keep_float)


def is_kept_float(operation, keep_float: Sequence[str]) -> bool:
    """Return whether an operation's name fits one of the names to keep float."""
    return any(fnmatch.fnmatch(operation.name, pattern) for pattern in keep_float)


def check_names(graph: Graph, keep_float: Sequence[str]) -> None:
    """Refuse names to keep float that no operation has.

    Raises:
        ValueError: There is one; the message says which names are near.
    """
    names = [call.operation.name for call in graph.calls]
    for pattern in keep_float:
        if not fnmatch.filter(names, pattern):
            near = difflib.get_close_matches(pattern, names, cutoff=0.0)
            raise ValueError(
                f"keep_float: no operation is named '{pattern}'. The nearest "
                f"names are: {', '.join(near)}."
            )


def check_kept_float(graph: keras.Model, keep_float: Sequence[str]) -> None:
    """Refuse, before a training, what TFLite has no operation for.

    The operations with a rule all have one. Of others nobody knows, so that they are
    converted alone.

    Args:
        graph: A Functional model of primitive layers.
        keep_float: Names of operations to leave in float; `*` stands for anything.

    Raises:
        ValueError: There is one; the message names it.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> y = keras.layers.UpSampling2D(interpolation="bicubic", name="up")(x)
    >>> check_kept_float(keras.Model(x, y), ["up"])
    Traceback (most recent call last):
    ValueError: UpSampling2D 'up' cannot be exported: TFLite has no operation ...
    """
    kept = [
        call for call in Graph(graph).calls if is_kept_float(call.operation, keep_float)
    ]
    if not kept or _problem(kept) is None:
        return
    for call in kept:
        problem = _problem([call])
        if problem is not None:
            raise ValueError(
                f"{type(call.operation).__name__} '{call.operation.name}' cannot be "
                f"exported: {problem} Use another layer in its place."
            )


def _problem(calls) -> str | None:
    """Return why calls cannot be converted, None where they can."""
    made = {id(tensor): tensor for call in calls for tensor in call.outputs}
    taken = {id(tensor): tensor for call in calls for tensor in call.inputs}
    inputs = [tensor for key, tensor in taken.items() if key not in made]
    try:
        convert(keras.Model(inputs, list(made.values())))
    except ConversionError as error:
        return str(error)
    return None
