"""From composite layers to a graph of primitive ones, at one input size."""

import contextlib
import re
from collections.abc import Iterator

import keras

from keras_frm.backend.private_hooks import maker_of
from keras_frm.graph.graph import rebuild, unchanged
from keras_frm.layers.composite import flattening


def flatten(
    model: keras.Model,
    input_shape: tuple[int, int, int],
    batch_size: int | None = 1,
) -> keras.Model:
    """Return the network as a graph of primitive layers and operations.

    The result is a copy: it shares no weights with `model`. Its layers compute in
    float32 whatever the policy of `model`, work as in inference, and are named by
    their path. Composite layers of this package, and nested models, dissolve; every
    other layer stays a node.

    Args:
        model: A built Functional or Sequential model with one input, or a
            `SegmentationModel`, whose network is taken.
        input_shape: Height, width and channels.
        batch_size: Images in a batch, None for any number.

    Returns:
        A Functional model of static shape.

    Raises:
        ValueError: The model is not built, subclassed, has several inputs or outputs,
            or does not take this size.

    Example:
    >>> from keras_frm.networks.registry import build_network
    >>> network = build_network(11, backbone="van_tiny", decoder_width=32)
    >>> graph = flatten(network, (64, 64, 3))
    >>> graph.input.shape, graph.output.shape
    ((1, 64, 64, 3), (1, 64, 64, 11))
    >>> graph.get_layer("backbone.stage_1_block_1.attention.project_in").filters
    32
    """
    network = plain_network(model)
    copy = _float32_copy(network)
    given = network.input
    expected = given.shape[1:]
    if len(input_shape) != len(expected) or any(
        known not in (None, size)
        for known, size in zip(expected, input_shape, strict=False)
    ):
        raise ValueError(
            f"The model takes images of shape {tuple(expected)}; "
            f"input_shape={tuple(input_shape)} does not fit."
        )
    inputs = keras.Input(
        batch_shape=(batch_size, *input_shape), dtype=given.dtype, name=given.name
    )
    with flattening(_name_by_path):
        outputs = keras.models.clone_model(
            copy,
            input_tensors=inputs,
            clone_function=unchanged,
            call_function=_dissolve,
        ).output
    graph = _without_conversions(keras.Model(inputs, outputs, name=network.name))
    _number_operations(graph)
    return graph


@contextlib.contextmanager
def in_float32() -> Iterator[None]:
    """Make new layers compute in float32, whatever Keras' global policy is.

    Example:
    >>> with in_float32():
    ...     layer = keras.layers.ReLU()
    >>> layer.compute_dtype
    'float32'
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def plain_network(model: keras.Model) -> keras.Model:
    """Return the Functional network of a model with one input and one output.

    Raises:
        ValueError: The model is not built, subclassed, or has several of them.
    """
    network = getattr(model, "network", model)
    has_graph = isinstance(network, keras.Sequential) or hasattr(network, "operations")
    if not has_graph or not network.built:
        raise ValueError(
            f"Model '{network.name}' is no built Functional or Sequential model, so it "
            "has no graph. Build it from keras.Input."
        )
    for what, tensors in (("inputs", network.inputs), ("outputs", network.outputs)):
        if len(tensors) != 1:
            raise ValueError(
                f"Model '{network.name}' has {len(tensors)} {what}; one is expected."
            )
    # Its own input may be a list or a dictionary of one.
    return keras.Model(network.inputs[0], network.outputs[0], name=network.name)


def _float32_copy(network):
    try:
        copy = type(network).from_config(_as_float32(network.get_config()))
    # A configuration may fail in any way inside the layer's own code.
    except Exception as error:
        raise ValueError(
            f"Model '{network.name}' cannot be copied from its configuration: "
            f"{_cause(error)}. Register its own layers "
            "(keras.saving.register_keras_serializable) and give them get_config()."
        ) from error
    copy.set_weights(network.get_weights())
    return copy


def _cause(error):
    """Return the first sentence of an error; Keras repeats whole configurations."""
    return str(error).strip().partition("\n")[0].partition(". ")[0][:200]


def _as_float32(config):
    """Replace every dtype policy in a config by float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": "float32"}}
        return {key: _as_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_as_float32(value) for value in config)
    return config


def _dissolve(operation, *args, **kwargs):
    """Call an operation as in inference; a model inside the model runs its parts."""
    if "training" in kwargs:
        kwargs["training"] = False
    if not isinstance(operation, keras.Model):
        return operation(*args, **kwargs)
    outputs = _without_inner_models(operation, args[0]).call(*args, **kwargs)
    _name_by_path(operation, (args, kwargs), outputs)
    return outputs


def _without_inner_models(model, taken):
    """Return a model in which those inside of it have run their parts, too.

    Sizes decide what the parts do, so they are those of what the model takes here.
    """
    if not any(isinstance(layer, keras.Model) for layer in model.layers):
        return model
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    inputs = keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype), taken
    )
    return keras.models.clone_model(
        model,
        input_tensors=inputs,
        clone_function=unchanged,
        call_function=_dissolve,
    )


def _without_conversions(graph):
    """Leave out what a model inside the model does to its input, which is a tensor."""
    conversions = [
        operation
        for operation in graph.operations
        if type(operation).__name__ == "ConvertToTensor"
    ]
    return rebuild(graph, dict.fromkeys(conversions, lambda x, *_, **__: x))


def _name_by_path(layer, inputs, outputs):
    """Put the name of a layer before the names of the operations it consists of."""
    seen = {id(tensor) for tensor in keras.tree.flatten(inputs)}
    operations = {}
    pending = [t for t in keras.tree.flatten(outputs) if keras.utils.is_keras_tensor(t)]
    while pending:
        tensor = pending.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, taken = maker_of(tensor)
        operations[id(operation)] = operation
        pending.extend(taken)
    for operation in operations.values():
        operation.name = f"{layer.name}.{operation.name}"


def _number_operations(graph):
    """Number the operations of one layer and kind in the order of the graph.

    Keras counts them over the whole process; a name must not depend on what was built
    before.
    """
    taken: dict[str, int] = {}
    for operation in graph.operations:
        if isinstance(operation, keras.layers.Layer):
            continue
        base = re.sub(r"_\d+$", "", operation.name)
        taken[base] = taken.get(base, 0) + 1
        number = f"_{taken[base]}" if taken[base] > 1 else ""
        operation.name = base + number
