"""Forget what is inside a layer and compute it again in the backward pass."""

import keras
import tensorflow as tf


def rematerialized(layer: keras.layers.Layer, x: tf.Tensor, **kwargs) -> tf.Tensor:
    """Call a layer so that the backward pass keeps its input only.

    What the layer computes inside is computed again when its gradient is needed: one
    more forward pass for less memory. The result, the gradients and the updated state
    are those of a plain call: the second run starts from the state that the first one
    found, so it draws the same random numbers, and its own updates are dropped.

    Args:
        layer: A built layer of one input.
        x: Its input.
        **kwargs: What else it is called with, `training` for instance; no tensors.

    Returns:
        What `layer(x, **kwargs)` returns, one tensor.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.

    Example:
    >>> layer = keras.layers.Dense(2, kernel_initializer="ones")
    >>> layer.build((1, 3))
    >>> rematerialized(layer, tf.ones((1, 3))).numpy().tolist()
    [[3.0, 3.0]]
    """
    # Copies: the first run changes the variables.
    states = layer.non_trainable_variables
    found = [(state, tf.identity(state.value)) for state in states]
    first = True

    def run(x):
        nonlocal first
        if first:
            first = False
            return layer(x, **kwargs)
        with keras.StatelessScope(state_mapping=found):
            return layer(x, **kwargs)

    return tf.recompute_grad(run)(x)
