"""Average pools of rising scale, which DAPPM and PAPPM share."""

from keras import ops

from keras_frm.backend import Tensor

# Kernel, stride and padding of the average pools; None is the whole image.
POOLS = ((5, 2, 2), (9, 4, 4), (17, 8, 8), None)


def average_pool(x: Tensor, pool: tuple[int, int, int] | None) -> Tensor:
    """Average over windows that include the zero padding, or over the image.

    Args:
        x: (B, H, W, C) tensor.
        pool: One of `POOLS`.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), C) tensor; (B, 1, 1, C) of the image.

    Source: `DAPPM` and `PAPPM` of DDRNet and PIDNet.

    Example:
    >>> tuple(average_pool(ops.ones((1, 7, 13, 2)), POOLS[0]).shape)
    (1, 4, 7, 2)
    """
    if pool is None:
        return ops.mean(x, axis=(1, 2), keepdims=True)  # (B, 1, 1, C)
    size, stride, pad = pool
    x = ops.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    # (B, ceil(H / stride), ceil(W / stride), C)
    return ops.average_pool(x, size, stride, padding="valid")
