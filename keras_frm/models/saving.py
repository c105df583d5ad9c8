"""Weights of a whole network, or of its backbone, from a file."""

import os
import zipfile
from pathlib import Path

import keras

from keras_frm import register_classes
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.networks.checkpoints.van import load_van_weights

# Keras may repeat the whole configuration of a model.
_LONGEST_REASON = 300


def load_weights(network: keras.Model, path: str | os.PathLike) -> None:
    """Load weights into a network by the kind of the file.

    Args:
        network: A network of `build_network`.
        path: A `.keras` file of a network, of a `SegmentationModel` or of a backbone
            (`converters/van_from_torch.py`), a `.weights.h5` file of the network, or a
            VAN checkpoint (`.pth`, `.pth.tar`) for the backbone alone.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of an unknown kind, or does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file at {path}.")
    if path.name.endswith((".pth", ".pth.tar", ".pt")):
        load_van_weights(network, path)
    elif path.name.endswith(".keras"):
        _copy(load_network(path), network, path)
    elif path.name.endswith(".weights.h5"):
        _load_h5(network, path)
    else:
        raise ValueError(
            f"{path} is none of the known kinds: .keras, .weights.h5, .pth, .pth.tar."
        )


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

    `keras.models.load_model` does the same where the file's layers are imported, which
    `import keras_frm` alone does not do.

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


def _copy(source, network, path):
    """Copy all weights between two networks, or those of a backbone alone."""
    if source.layers[-1].name == "backbone":
        source, network = source.layers[-1], network.get_layer("backbone")
    else:
        check_classes(source, network.output.shape[-1], path)
    if [w.shape for w in source.weights] != [w.shape for w in network.weights]:
        raise ValueError(
            f"The network in {path} is another one than the one to load it into; "
            "build it with the same backbone, context, alignment and widths."
        )
    network.set_weights(source.get_weights())


def check_classes(network: keras.Model, num_classes: int, path) -> None:
    """Raise a ValueError where a loaded network has another number of classes."""
    found = network.output.shape[-1]
    if found != num_classes:
        raise ValueError(
            f"The network in {path} has {found} classes and {num_classes} are wanted; "
            f"pass num_classes={found}, or load its backbone only."
        )


def _load_h5(network, path):
    """Load a `.weights.h5` file of the same network."""
    try:
        network.load_weights(path)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{path} does not fit this network of {network.output.shape[-1]} classes, "
            f"or is damaged: {reason}"
        ) from error
