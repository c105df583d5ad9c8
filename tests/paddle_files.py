"""Write Paddle checkpoints without Paddle."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def save_paddle(path: Path, state: Mapping[str, np.ndarray], protocol: int = 4) -> Path:
    """Write what `paddle.save(layer.state_dict(), path)` writes.

    Beside the arrays, as NumPy pickles them, it has a table of Paddle's own names.
    """
    own = {name: f"parameter_{index}" for index, name in enumerate(state)}
    content = {**state, "StructuredToParameterName@@": own}
    path.write_bytes(pickle.dumps(content, protocol))
    return path
