"""Draw from the tables of the synthetic scenes, whose rows begin with a weight."""

from collections.abc import Sequence

import numpy as np


def random_row(rng: np.random.Generator, rows: Sequence[tuple]) -> tuple:
    """Draw a row of a table.

    Args:
        rng: Source of randomness.
        rows: Tuples whose first entry is their probability; these sum to 1.

    Example:
    >>> random_row(np.random.default_rng(0), ((0.0, "tram"), (1.0, "car")))
    (1.0, 'car')
    """
    return rows[rng.choice(len(rows), p=[row[0] for row in rows])]
