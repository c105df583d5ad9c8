"""Optimizers with and without the scaling of the loss around them."""

import keras


def without_loss_scaling(optimizer: keras.Optimizer | None) -> keras.Optimizer | None:
    """Return the optimizer inside of loss scaling, or itself.

    Keras wraps the compiled optimizer where the dtype policy is "mixed_float16". The
    schedule, the moving average and the accumulated gradients are those of the inner
    one.

    Args:
        optimizer: A model's optimizer, or None.

    Example:
    >>> sgd = keras.optimizers.SGD()
    >>> without_loss_scaling(keras.optimizers.LossScaleOptimizer(sgd)) is sgd
    True
    """
    return getattr(optimizer, "inner_optimizer", optimizer)
