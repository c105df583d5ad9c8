"""Weights of a network from a `.weights.h5` file, whose classes may be others."""

import tempfile
import warnings
from collections import Counter
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_frm.files import replacing


def load_h5(network: keras.Model, path: Path) -> int:
    """Load a `.weights.h5` file of the same network.

    Args:
        network: A network from an image to logits. Where the file does not fit, it
            stays as it is.
        path: The file.

    Returns:
        The number of classes in the file. Where it is not the network's, the weights of
        the classes stay as they are.

    Raises:
        ValueError: The file is damaged or of another network.
    """
    classes = network.output.shape[-1]
    before = network.get_weights()
    try:
        found = _classes_in(path, network)
        _load(network, path, before, other_classes=found != classes)
    except Exception as error:
        network.set_weights(before)
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{path} does not fit this network of {classes} classes, or is damaged: "
            f"{reason}"
        ) from error
    return found


def save_half(network: keras.Model, path: Path) -> None:
    """Save the weights with kernels in float16, for files that are passed on.

    Vectors, such as the statistics of a BatchNorm, keep their precision. `load_h5` and
    `network.load_weights` read the file like any other.

    Args:
        network: The network.
        path: The file, which ends with `.weights.h5`.

    Raises:
        ValueError: A weight is too large for float16, or no number.
    """
    with tempfile.TemporaryDirectory() as folder, replacing(path) as unfinished:
        whole = Path(folder) / "whole.weights.h5"
        network.save_weights(whole)
        with h5py.File(whole) as source, h5py.File(unfinished, "w") as target:
            source.visititems(lambda name, item: _copy_half(name, item, target))


def _copy_half(name, item, target):
    """Copy a group without what is in it, or a dataset."""
    if isinstance(item, h5py.Dataset):
        array = item[()]
        if array.ndim > 1 and array.dtype == np.float32:
            with np.errstate(over="ignore"):
                array = array.astype(np.float16)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that float16 does not hold.")
        copy = target.create_dataset(name, data=array)
    else:
        copy = target.create_group(name)
    copy.attrs.update(item.attrs)


def _classes_in(path, network):
    """Return the number of classes of a file; the network's where it may fit as it is.

    Files have no order that would tell which weight is which, but of networks that
    differ in the number of classes alone the shapes differ in that number alone, or in
    a multiple of it: of the logits of several pixels.
    """
    classes = network.output.shape[-1]
    with h5py.File(path) as file:
        shapes = Counter(_shapes_in(file))
    own = Counter(tuple(weight.shape) for weight in network.weights)
    missing, surplus = own - shapes, shapes - own
    there, here = ({shape[-1] for shape in x if shape} for x in (surplus, missing))
    if len(there) != 1 or len(here) != 1:
        return classes
    (there,), (here,) = there, here
    found = there * classes // here
    renamed = Counter({(*shape[:-1], there): n for shape, n in missing.items()})
    fits = here % classes == 0 and found * here == there * classes
    return found if fits and renamed == surplus else classes


def _shapes_in(file):
    """Yield the shapes of the weights in a file, without states of random numbers."""
    names = []
    file.visit(names.append)
    for name in names:
        if isinstance(file[name], h5py.Dataset) and "seed_generator" not in name:
            yield file[name].shape


def _load(network, path, before, other_classes):
    """Load what fits; weights of the classes may be left out."""
    if not other_classes:
        network.load_weights(path)
        return
    for weight in network.weights:
        weight.assign(np.full(weight.shape, np.nan, weight.dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names what it leaves out
        network.load_weights(path, skip_mismatch=True)
    classes = network.output.shape[-1]
    left_out = [
        (weight, value)
        for weight, value in zip(network.weights, before, strict=True)
        if np.isnan(weight.numpy()).all()
    ]
    # All of one layer, of which each position makes the logits of one pixel or several.
    size = min(weight.shape[-1] for weight, _ in left_out)
    for weight, value in left_out:
        if weight.shape[-1] != size or size % classes:
            raise ValueError(f"it has no weight for {weight.path}")
        weight.assign(value)
