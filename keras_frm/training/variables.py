"""Everything that a training step changes, as arrays and back."""

import keras
import numpy as np
import tensorflow as tf

from keras_frm.backend.private_hooks import accumulated_gradients, steps_taken
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.optimizers.loss_scaling import without_loss_scaling
from keras_frm.training.distribution import assign_total


def gather(model: SegmentationModel) -> list[np.ndarray]:
    """Return everything that a training step changes.

    That is: weights, the optimizer's variables (moments, iterations, moving average,
    loss scale, accumulated gradients), the states of random numbers, and metrics.

    Args:
        model: A compiled model, see `build_for_training`.

    Returns:
        One array for each variable, in the order in which the model was built.
    """
    own = {id(variable) for variable in _accumulators(model)}
    return [
        _mean_of_copies(model, v) if id(v) in own else keras.ops.convert_to_numpy(v)
        for v in _variables(model)
    ]


def restore(model: SegmentationModel, arrays: list[np.ndarray], origin: str) -> None:
    """Put back what `gather` returned.

    Args:
        model: A compiled model that was built in the same way.
        arrays: The arrays.
        origin: Where they come from, for the message.

    Raises:
        ValueError: The arrays are those of another model.
    """
    variables = _variables(model)
    shapes = [tuple(v.shape) for v in variables]
    if shapes != [array.shape for array in arrays]:
        raise ValueError(
            f"{origin} holds the training of another network or optimizer; build "
            "the model as it was, or name another run folder."
        )
    metrics = {id(v) for v in _metric_variables(model)}
    for variable, array in zip(variables, arrays, strict=True):
        if id(variable) not in metrics:
            variable.assign(array)
    restore_metrics(model, arrays)


def gather_metrics(model: SegmentationModel) -> list[np.ndarray]:
    """Return the metrics' part of what `gather` returns, for it is reset early."""
    return [keras.ops.convert_to_numpy(v) for v in _metric_variables(model)]


def restore_metrics(model: SegmentationModel, arrays: list[np.ndarray]) -> None:
    """Put back what `gather_metrics` returned, or the end of what `gather` did."""
    variables = _metric_variables(model)
    for variable, array in zip(variables, arrays[-len(variables) :], strict=True):
        assign_total(variable, array, model.distribute_strategy)


def build_for_training(model: SegmentationModel) -> None:
    """Make all variables that Keras leaves to the first training step.

    Args:
        model: A compiled model.
    """
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)

    def feed_metrics():
        labels = tf.zeros((1, 4, 4), tf.uint8)
        logits = tf.zeros((1, 4, 4, model.num_classes))
        model.compute_metrics(None, labels, logits)

    model.distribute_strategy.run(feed_metrics)
    model.reset_metrics()


def share_accumulated(model: SegmentationModel) -> None:
    """Give each replica the mean of the gradients that all have accumulated.

    Their sum at the next update stays. A checkpoint then holds the part of every
    worker, though one alone writes it. All workers must call this at the same step.

    Args:
        model: A compiled model.
    """
    sums = _accumulators(model)
    if not sums or model.replicas == 1:
        return

    def mean():
        context = tf.distribute.get_replica_context()
        values = [tf.identity(total.value) for total in sums]
        means = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
        for total, value in zip(sums, means, strict=True):
            total.assign(value)

    strategy = model.distribute_strategy
    tf.function(lambda: strategy.run(mean), autograph=False)()


def has_accumulated(model: SegmentationModel) -> bool:
    """Return whether gradients wait for the rest of their update.

    Args:
        model: A compiled model.
    """
    optimizer = without_loss_scaling(model.optimizer)
    steps = optimizer.gradient_accumulation_steps or 1
    return steps_taken(optimizer) % steps > 0


def _accumulators(model):
    """Return the variables that each replica has its own value of.

    The replicas' accumulated gradients are summed at the update only.
    """
    optimizer = without_loss_scaling(model.optimizer)
    if not optimizer.gradient_accumulation_steps:
        return []
    return accumulated_gradients(optimizer)


def _mean_of_copies(model, variable):
    """Return what has the same sum when all replicas of this machine get it."""
    strategy = model.distribute_strategy
    copies = strategy.experimental_local_results(variable.value)
    return np.mean([copy.numpy() for copy in copies], axis=0)


def _variables(model):
    """Return all variables, the metrics' last."""
    metrics = _metric_variables(model)
    found = {id(v): v for v in (*model.variables, *model.optimizer.variables)}
    # The loss is no layer, so the model does not know of its random numbers.
    if model.contrastive_weight:
        seed = model.contrastive_loss.seed_generator.state
        found[id(seed)] = seed
    for variable in metrics:
        found.pop(id(variable), None)
    return [*found.values(), *metrics]


def _metric_variables(model):
    """Return the variables of all metrics."""
    found = {id(v): v for metric in model.metrics for v in metric.variables}
    return list(found.values())
