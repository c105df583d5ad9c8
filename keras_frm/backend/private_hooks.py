"""Every private name of Keras, TensorFlow and LiteRT that this package uses.

None of them is promised by its library. `pyproject.toml` names the versions they were
tested with; a new version is let in when `tests/test_private_hooks.py` passes with it.

What is used in several places has a function here. What a class must override or use
as a part of its parent stays there. `HOOKS` lists both.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras


class Hook(NamedTuple):
    """One private name.

    Args:
        owner: Public name of the class that has it.
        name: The name.
        without: What breaks in this package where it is missing.
    """

    owner: str
    name: str
    without: str


HOOKS = (
    # === The graph of a Functional model ===
    Hook(
        "keras.KerasTensor",
        "_keras_history",
        "`maker_of`: graphs are neither flattened nor named, so no export and no int8.",
    ),
    Hook("keras.Operation", "_inbound_nodes", "`maker_of` and `taken_by`, likewise."),
    Hook("keras.Function", "_nodes_by_depth", "`calls_of`, likewise."),
    Hook(
        "keras.Layer",
        "_flatten_layers",
        "`all_layers`: BatchNorms are not synchronised over replicas, `profile` counts "
        "nothing, quantised models are not recognised.",
    ),
    # === fit and evaluate ===
    Hook(
        "keras.Model",
        "_maybe_symbolic_build",
        "Overridden to do nothing: `fit` on several workers builds from a batch that "
        "the training then lacks, and fails.",
    ),
    Hook(
        "keras.Model",
        "_get_metrics_result_or_logs",
        "Overridden: on several replicas the log of an epoch is a mean over replicas "
        "where a step leaves a metric out, which is no mean IoU.",
    ),
    Hook(
        "keras.metrics.Metric",
        "_direction",
        "Set: Keras' callbacks with mode='auto' refuse `mean_iou` and `skipped_steps`.",
    ),
    Hook(
        "keras.src.trainers.data_adapters.data_adapter",
        "DataAdapter",
        "`data_adapter`: `fit` takes no batches that are made on the device.",
    ),
    # === Optimizers ===
    Hook(
        "keras.Optimizer",
        "_learning_rate",
        "`schedule_of`: `fit` finds no `PolyDecay` to plan; the rate stays constant.",
    ),
    Hook(
        "keras.Optimizer",
        "_iterations",
        "`steps_taken`: the schedule is planned, and a training resumed, at the wrong "
        "step where gradients are accumulated.",
    ),
    Hook(
        "keras.Optimizer",
        "_use_weight_decay",
        "The optimizers' own decay cannot leave out the weights named to "
        "`exclude_from_weight_decay`.",
    ),
    Hook(
        "keras.Optimizer",
        "_apply_weight_decay",
        "Overridden by AdamW, used by accumulation: weights decay twice, and the "
        "backbone's at the rate of the others.",
    ),
    Hook(
        "keras.Optimizer",
        "_get_variable_index",
        "No learning rate of its own for the backbone, no accumulation.",
    ),
    Hook(
        "keras.Optimizer",
        "_backend_apply_gradients",
        "Overridden: accumulation of gradients fails on several replicas.",
    ),
    Hook(
        "keras.Optimizer",
        "_backend_update_step",
        "Accumulated gradients are not applied.",
    ),
    Hook(
        "keras.Optimizer",
        "_clip_gradients",
        "Accumulated gradients are applied without the clipping that was asked for.",
    ),
    Hook(
        "keras.Optimizer",
        "_accumulated_gradients",
        "`accumulated_gradients`: no accumulation, and checkpoints lack the gradients "
        "that wait for their update.",
    ),
    Hook(
        "keras.Optimizer",
        "_trainable_variables",
        "The moving average does not follow accumulated updates.",
    ),
    Hook(
        "keras.Optimizer",
        "_update_model_variables_moving_average",
        "The moving average does not follow accumulated updates.",
    ),
    Hook(
        "keras.Optimizer",
        "_model_variables_moving_average",
        "`moving_average`: a validation cannot use the averaged weights.",
    ),
    # === Devices and interpreters ===
    Hook(
        "tf.distribute.StrategyExtended",
        "_in_multi_worker_mode",
        "`is_on_several_workers`: the logs of a step on several workers have a shape "
        "that Keras does not average.",
    ),
    Hook(
        "ai_edge_litert.interpreter.Interpreter",
        "_get_ops_details",
        "A report cannot say what XNNPACK runs of a file.",
    ),
)


def maker_of(tensor: keras.KerasTensor) -> tuple[keras.Operation, list]:
    """Return the operation that made a KerasTensor and the KerasTensors it took.

    Args:
        tensor: A tensor of a Functional model, or an input of one.

    Example:
    >>> x = keras.Input((4,))
    >>> operation, taken = maker_of(keras.ops.relu(x))
    >>> type(operation).__name__, taken[0] is x
    ('Relu', True)
    """
    operation, node, _ = tensor._keras_history
    return operation, list(operation._inbound_nodes[node].input_tensors)


def calls_of(model: keras.Model) -> Iterator[tuple[keras.Operation, tuple, list]]:
    """Yield each call of a Functional model's operations, in the order they run.

    Args:
        model: A Functional model.

    Yields:
        The operation, its nested arguments (positional, named) and its results.

    Example:
    >>> x = keras.Input((4,))
    >>> model = keras.Model(x, keras.ops.relu(keras.ops.negative(x)))
    >>> [type(operation).__name__ for operation, _, _ in calls_of(model)]
    ['Negative', 'Relu']
    """
    nodes = model._nodes_by_depth
    for depth in sorted(nodes, reverse=True):
        for node in nodes[depth]:
            if not node.is_input:
                arguments = (node.arguments.args, node.arguments.kwargs)
                yield node.operation, arguments, list(node.outputs)


def taken_by(operation: keras.Operation) -> list:
    """Return the KerasTensors that an operation takes, in all of its calls.

    Args:
        operation: A layer or an operation of `keras.ops`.

    Example:
    >>> x, layer = keras.Input((4,)), keras.layers.Dense(2)
    >>> y = layer(x)
    >>> taken_by(layer)[0] is x
    True
    """
    nodes = operation._inbound_nodes
    return [tensor for node in nodes for tensor in node.input_tensors]


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """Return a layer or model and the layers inside it, however deep.

    Args:
        layer: A layer or a model.

    Example:
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> [type(layer).__name__ for layer in all_layers(model)]
    ['Sequential', 'InputLayer', 'Dense']
    """
    return list(layer._flatten_layers())


def data_adapter() -> type:
    """Return the class of what `fit` takes its batches from, as they are.

    Keras makes one of all data that it is given. Those of a `PyDataset` copy each batch
    through NumPy on TensorFlow; one that is given itself need not.

    Example:
    >>> data_adapter().__name__
    'DataAdapter'
    """
    from keras.src.trainers.data_adapters.data_adapter import DataAdapter

    return DataAdapter


def schedule_of(
    optimizer: keras.Optimizer | None,
) -> keras.optimizers.schedules.LearningRateSchedule | keras.Variable | None:
    """Return an optimizer's schedule, or the variable of its learning rate.

    Args:
        optimizer: An optimizer, or None, which has none.
    """
    return None if optimizer is None else optimizer._learning_rate


def steps_taken(optimizer: keras.Optimizer) -> int:
    """Return the steps that the learning rate follows; `iterations` counts updates.

    Args:
        optimizer: An optimizer without loss scaling around it.

    Example:
    >>> steps_taken(keras.optimizers.SGD())
    0
    """
    return int(keras.ops.convert_to_numpy(optimizer._iterations))


def accumulated_gradients(optimizer: keras.Optimizer) -> Sequence[keras.Variable]:
    """Return the sums of gradients that wait for an update, one for each weight.

    Args:
        optimizer: A built optimizer with `gradient_accumulation_steps`.
    """
    return optimizer._accumulated_gradients


def moving_average(optimizer: keras.Optimizer) -> Sequence[keras.Variable]:
    """Return the moving average of each trainable weight.

    Args:
        optimizer: A built optimizer with `use_ema`.
    """
    return optimizer._model_variables_moving_average


def is_on_several_workers(strategy) -> bool:
    """Return whether the replicas of a strategy are spread over processes.

    Args:
        strategy: A `tf.distribute.Strategy`.
    """
    return strategy.extended._in_multi_worker_mode()
