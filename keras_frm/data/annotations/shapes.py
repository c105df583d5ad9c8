"""What is annotated in an image: polygons and runs of pixels, and how they are filled.

A pixel belongs to a polygon where its centre does, (x + 0.5, y + 0.5) of its column and
row. Two polygons with a common side share no pixel and leave none between them.
"""

from dataclasses import dataclass

import numpy as np

# Numbers that are held at once while a polygon is filled, whatever its size.
_BAND = 1 << 22


@dataclass(frozen=True)
class Polygon:
    """A shape of one or several rings; several are one shape, and no holes.

    Args:
        label: Name of its class.
        rings: Corners of each, (n, 2) float64 x and y in pixels, from the image's left
            upper corner. Parts outside of the image are cut off.

    Example:
    >>> square = Polygon("car", (np.float64([[1, 0], [3, 0], [3, 2], [1, 2]]),))
    >>> mask = np.zeros((2, 4), np.uint8)
    >>> square.fill(mask, 7)
    4
    >>> mask.tolist(), square.area
    ([[0, 7, 7, 0], [0, 7, 7, 0]], 4.0)
    """

    label: str
    rings: tuple[np.ndarray, ...]

    @property
    def area(self) -> float:
        """Area of the rings, square pixels."""
        return sum(map(_ring_area, self.rings))

    def fill(self, mask: np.ndarray, value: int) -> int:
        """Give the shape's pixels a value; returns how many these are.

        Args:
            mask: (H, W) uint8, changed in place.
            value: 0 to 255.
        """
        return sum(_fill_ring(ring, mask, value) for ring in self.rings)


@dataclass(frozen=True)
class Runs:
    """A shape of pixels: runs outside and inside of it in turns, outside first.

    Args:
        label: Name of its class.
        counts: (n,) int64 lengths, which fill the window.
        window: Top, left, height and width of the rectangle they run through, pixels.
            Parts outside of the image are cut off.
        by_column: They run down the columns, as COCO's do, and not along the rows.

    Example:
    >>> mask = np.zeros((2, 3), np.uint8)
    >>> Runs("car", np.array([1, 2, 1]), (0, 1, 2, 2)).fill(mask, 7)
    2
    >>> mask.tolist()
    [[0, 0, 7], [0, 7, 0]]
    """

    label: str
    counts: np.ndarray
    window: tuple[int, int, int, int]
    by_column: bool = False

    @property
    def area(self) -> float:
        """Number of pixels."""
        return float(self.counts[1::2].sum())

    def fill(self, mask: np.ndarray, value: int) -> int:
        """Give the shape's pixels a value; returns how many these are, as `Polygon`."""
        top, left, height, width = self.window
        inside = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        if self.by_column:
            inside = inside.reshape(width, height).T
        inside = inside.reshape(height, width)
        rows, columns = (
            slice(max(first, 0), max(first + length, 0))
            for first, length in ((top, height), (left, width))
        )
        part = mask[rows, columns]
        first_row, first_column = max(-top, 0), max(-left, 0)
        inside = inside[first_row:, first_column:][: part.shape[0], : part.shape[1]]
        part[inside] = value
        return int(np.count_nonzero(inside))


def runs_of(inside: np.ndarray) -> np.ndarray:
    """Return the runs of a bitmap, along its rows: (n,) int64.

    Args:
        inside: (H, W) bool.

    Example:
    >>> runs_of(np.array([[True, True], [False, True]])).tolist()
    [0, 2, 1, 1]
    """
    flat = np.concatenate([[False], inside.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(changes, prepend=0, append=inside.size)


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0
) -> np.ndarray:
    """Return an ellipse as a ring of 360 corners, (360, 2).

    Args:
        centre: x and y, pixels.
        radii: Half axes, pixels; the first lies along the rows where it is not turned.
        degrees: How far it is turned, clockwise as an image is looked at.
    """
    angles = np.radians(np.arange(360))
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii
    return turned(corners, (0.0, 0.0), degrees) + centre


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return a rectangle as a ring, (4, 2)."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)


def turned(ring: np.ndarray, centre: tuple[float, float], degrees: float) -> np.ndarray:
    """Return a ring turned around a point, clockwise as an image is looked at."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (ring - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre


def _ring_area(ring: np.ndarray) -> float:
    (x, y), (next_x, next_y) = ring.T, np.roll(ring, -1, axis=0).T
    return abs(float((x * next_y - next_x * y).sum())) / 2


def _fill_ring(ring: np.ndarray, mask: np.ndarray, value: int) -> int:
    """Fill a ring in bands of rows, whose memory does not grow with the ring."""
    height, width = mask.shape
    left, right = _first_pixels(
        np.array([ring[:, 0].min(), ring[:, 0].max()]), 0, width
    )
    top, bottom = _first_pixels(
        np.array([ring[:, 1].min(), ring[:, 1].max()]), 0, height
    )
    if left == right:
        return 0
    rows = max(1, _BAND // max(right - left, len(ring)))
    count = 0
    for first in range(top, bottom, rows):
        last = min(first + rows, bottom)
        inside = _inside(ring, (first, last), (left, right))
        mask[first:last, left:right][inside] = value
        count += int(np.count_nonzero(inside))
    return count


def _inside(
    ring: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """Return which centres a ring encloses, by the even-odd rule: (rows, columns) bool.

    Each side changes the state of all pixels to the right of where it crosses a row.
    Its place there is computed from its upper end, whichever way it is walked, so that
    two rings with a common side round alike.
    """
    ends = np.stack([ring, np.roll(ring, -1, axis=0)])  # (2, n, 2)
    upper = np.argmin(ends[..., 1], axis=0)
    (x, y), (low_x, low_y) = (
        ends[i, np.arange(len(ring))].T for i in (upper, 1 - upper)
    )
    first = _first_pixels(y, *rows)
    crossed = _first_pixels(low_y, *rows) - first  # (n,) rows
    side = np.repeat(np.arange(len(ring)), crossed)
    earlier = np.cumsum(crossed) - crossed
    row = np.arange(len(side)) - earlier[side] + first[side]
    slope = (low_x - x)[side] / (low_y - y)[side]
    column = _first_pixels(x[side] + (row + 0.5 - y[side]) * slope, *columns)
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    crossings = np.bincount(
        (row - rows[0]) * (width + 1) + column - columns[0],
        minlength=height * (width + 1),
    ).reshape(height, width + 1)
    return np.cumsum(crossings, axis=1)[:, :width] % 2 == 1


def _first_pixels(position: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return the first pixel whose centre is not before a position, within limits."""
    return np.clip(np.ceil(position - 0.5), start, end).astype(np.int64)
