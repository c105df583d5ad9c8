"""Forget what is inside a layer and compute it again in the backward pass."""

import jax
import keras


def rematerialized(layer: keras.layers.Layer, x: jax.Array, **kwargs) -> jax.Array:
    """Call a layer so that the backward pass keeps its input only.

    What the layer computes inside is computed again when its gradient is needed. The
    result, the gradients and the updated state are those of a plain call.

    Args:
        layer: A built layer of one input.
        x: Its input.
        **kwargs: What else it is called with, `training` for instance; no tensors.

    Returns:
        What `layer(x, **kwargs)` returns, one tensor.

    Example:
    >>> layer = keras.layers.Dense(2, kernel_initializer="ones")
    >>> layer.build((1, 3))
    >>> rematerialized(layer, keras.ops.ones((1, 3))).tolist()
    [[3.0, 3.0]]
    """
    states = layer.non_trainable_variables

    @jax.checkpoint
    def run(x):
        y = layer(x, **kwargs)
        return y, [state.value for state in states]

    y, moved = run(x)
    # What the run itself has assigned belongs to its trace.
    for state, value in zip(states, moved, strict=True):
        state.assign(value)
    return y
