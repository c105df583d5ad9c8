"""Models from files."""

import os
import zipfile
from pathlib import Path

import keras

from keras_frm import register_classes
from keras_frm.models.segmentation_model import SegmentationModel

# Keras may repeat the whole configuration of a model.
_LONGEST_REASON = 300


def load_network(path: str | os.PathLike) -> keras.Model:
    """Load the plain network of a `.keras` file, in safe mode.

    Args:
        path: A file saved from `model.network` or from a `SegmentationModel`.

    Returns:
        The network, without the embedding head of training.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or holds something else.
    """
    model = load_model(path, compile=False)
    return model.network if isinstance(model, SegmentationModel) else model


def load_model(path: str | os.PathLike, compile: bool = True) -> keras.Model:
    """Load a `.keras` file as it was saved, in safe mode: nothing in it is executed.

    `keras.models.load_model` does the same after `import keras, keras_frm`, in this
    order: only where Keras is there already, the import makes the layers known to it.

    Args:
        path: A file that `save` wrote.
        compile: Whether a compiled model comes back compiled, to train it further.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or holds something else.

    Example:
    >>> load_model("model.keras")
    Traceback (most recent call last):
    FileNotFoundError: There is no model at model.keras.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model at {path}.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is damaged or is not a .keras file.")
    register_classes()
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    # An untrusted file can fail in any way inside the loader.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:_LONGEST_REASON]
        raise ValueError(f"{path} cannot be loaded as a model: {reason}") from error
