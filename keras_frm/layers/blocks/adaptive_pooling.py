"""Pooling over a grid of nearly equal cells, whatever the size of the map."""

from keras import ops

from keras_frm.backend import Tensor


def adaptive_average_pool(x: Tensor, grid: int) -> Tensor:
    """Average features over a grid of nearly equal cells, as PyTorch does.

    The sizes need not be multiples of the grid, so no strided pooling computes it; two
    products with small matrices do, also where the size is unknown.

    Args:
        x: (B, H, W, C) tensor.
        grid: Rows and columns of the output.

    Returns:
        (B, grid, grid, C) tensor.

    Example:
    >>> x = ops.reshape(ops.arange(5.0), (1, 1, 5, 1))
    >>> adaptive_average_pool(x, 2)[0, 0, :, 0].numpy().tolist()
    [1.0, 3.0]
    """
    _, height, width, _ = ops.shape(x)
    rows = ops.cast(_cell_weights(height, grid), x.dtype)  # (grid, H)
    columns = ops.cast(_cell_weights(width, grid), x.dtype)  # (grid, W)
    x = ops.einsum("gh,bhwc->bgwc", rows, x)  # (B, grid, W, C)
    return ops.einsum("gw,bhwc->bhgc", columns, x)  # (B, grid, grid, C)


def adaptive_max_pool(x: Tensor, grid: int) -> Tensor:
    """Take the largest features of a grid of nearly equal cells, as PyTorch does.

    Cells overlap, and on a map smaller than the grid some hold one pixel several times.
    Each cell is a slice, first of the rows and then of the columns: every file format
    has slices of known bounds, and a gather of the cells' pixels is slow on phones.

    Args:
        x: (B, H, W, C) tensor.
        grid: Rows and columns of the output.

    Returns:
        (B, grid, grid, C) tensor.

    Example:
    >>> x = ops.reshape(ops.arange(5.0), (1, 1, 5, 1))
    >>> adaptive_max_pool(x, 2)[0, 0, :, 0].numpy().tolist()
    [2.0, 4.0]
    """
    _, height, width, _ = ops.shape(x)
    rows, columns = _cell_slices(height, grid), _cell_slices(width, grid)
    x = ops.concatenate(
        [ops.max(x[:, part], axis=1, keepdims=True) for part in rows], axis=1
    )  # (B, grid, W, C)
    return ops.concatenate(
        [ops.max(x[:, :, part], axis=2, keepdims=True) for part in columns], axis=2
    )  # (B, grid, grid, C)


def _cell_bounds(cells, size, grid):
    """Return where cells begin and end.

    Cell i begins at floor(i size / grid) and ends before ceil((i + 1) size / grid).

    Args:
        cells: Their numbers i, one or an array of them.
        size: Rows or columns of the map.
        grid: Number of cells.
    """
    return cells * size // grid, -(-(cells + 1) * size // grid)


def _cell_slices(size, grid):
    """Return the part of the rows, or of the columns, of each cell."""
    return [slice(*_cell_bounds(cell, size, grid)) for cell in range(grid)]


def _cell_weights(size, grid):
    """Return each position's weight in each cell's mean: (grid, size)."""
    cells = ops.expand_dims(ops.arange(grid), 1)
    positions = ops.expand_dims(ops.arange(size), 0)
    start, end = _cell_bounds(cells, size, grid)
    inside = ops.cast((positions >= start) & (positions < end), "float32")
    return inside / ops.cast(end - start, "float32")
