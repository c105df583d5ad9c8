"""Weights of a whole network, or of its backbone, from a file."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_frm.layers.backbones.efficientnet_lite import EfficientNetLite
from keras_frm.models.saving import load_model
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.models.weights_h5 import load_h5
from keras_frm.networks.checkpoints.efficientnet_lite import load_imagenet_weights
from keras_frm.networks.checkpoints.official import (
    PADDLE_SUFFIX,
    has_official_checkpoints,
    load_official_weights,
)
from keras_frm.networks.checkpoints.van import load_van_weights
from keras_frm.weights.shipped import IMAGENET, find_shipped

_TORCH_SUFFIXES = (".pth", ".pth.tar", ".pt")


class ClassifierLeftOut(UserWarning):
    """A file has another number of classes; all but the classifier was loaded."""


def load_weights(model: SegmentationModel, path: str | os.PathLike) -> None:
    """Load weights into a model's network by the kind of the file.

    A file of the same network with another number of classes gives all weights but
    those of the layers that make logits of the classes, and a `ClassifierLeftOut`.

    Args:
        model: A model, of whose network and auxiliary heads the weights are set.
        path: "imagenet" for the backbone alone, see `load_imagenet_weights`; the name
            of weights that come with the package, see `shipped_weights`; a `.keras`
            file of a network, of a `SegmentationModel` (its auxiliary heads are loaded
            too, where it has the same) or of a backbone
            (`converters/van_from_torch.py`), a `.weights.h5` file of the network, or a
            checkpoint of PyTorch (`.pth`, `.pth.tar`, `.pt`) or Paddle (`.pdparams`):
            an official one of the network (`keras_frm.networks.checkpoints.official`),
            or of VAN for the backbone alone.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of an unknown kind, or does not fit.
    """
    if path == IMAGENET:
        load_imagenet_weights(_efficientnet_of(model))
        return
    shipped = find_shipped(path)
    if shipped is not None:
        _load_shipped(model, shipped)
        return
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file at {path}.")
    if path.name.endswith((*_TORCH_SUFFIXES, PADDLE_SUFFIX)):
        found = _load_official(model, path)
    elif path.name.endswith(".keras"):
        found = _copy(load_model(path, compile=False), model, path)
    elif path.name.endswith(".weights.h5"):
        found = load_h5(model.network, path)
    else:
        raise ValueError(
            f"{path} is none of the known kinds: .keras, .weights.h5, .pth, .pth.tar, "
            ".pt, .pdparams."
        )
    if found != model.num_classes:
        warnings.warn(
            f"{path} has {found} classes, not {model.num_classes}: all weights but the "
            "classifier's were loaded.",
            ClassifierLeftOut,
            stacklevel=3,
        )


def _efficientnet_of(model):
    found = [x for x in model.network.layers if isinstance(x, EfficientNetLite)]
    if not found:
        raise ValueError(
            f"weights='{IMAGENET}' is for the backbone EfficientNet-Lite, and network "
            f"'{model.network.name}' has none. Official VAN weights: give the path of "
            "the .pth.tar file. Backbones of keras.applications: build them with "
            "weights='imagenet', which downloads, and pass them to backbone_from."
        )
    return found[0]


def _load_official(model, path):
    """Load an official checkpoint; return its classes, the model's for a backbone."""
    if has_official_checkpoints(model.parts):
        return load_official_weights(model.parts, path)
    load_van_weights(model, path)
    return model.num_classes


def _load_shipped(model, shipped):
    """Load shipped weights; the classifier where the classes are the same ones."""
    classifier = model.network.get_layer("classifier")
    before = classifier.get_weights()
    load_h5(model.network, shipped.weights_file())
    shipped.note_licence()
    if model.num_classes == len(shipped.classes) and not _are_of(model, shipped):
        classifier.set_weights(before)
    if not _are_of(model, shipped):
        warnings.warn(
            f"Weights '{shipped.name}' have other classes: all weights but the "
            "classifier's were loaded.",
            ClassifierLeftOut,
            stacklevel=4,
        )


def _are_of(model, shipped):
    return model.preset.labels.classes == shipped.classes


def _copy(source, model, path):
    """Copy the weights of a network or a backbone; return the classes of the file."""
    network = getattr(source, "network", source)
    if len(network.outputs) > 1:
        _copy_backbone(network, model, path)
        return model.num_classes
    found, wanted = network.output.shape[-1], model.num_classes
    pairs = _pairs(network.weights, model.network.weights, found, wanted)
    if pairs is None:
        raise ValueError(
            f"The network in {path} is another one than the one to load it into; "
            "build it with the same network and options."
        )
    pairs += _auxiliary_pairs(source, model, found)
    for old, new in pairs:
        new.assign(old)
    return found


def _copy_backbone(network, model, path):
    """Copy the weights of a model of stages to a model's backbone."""
    backbone = model.parts.variables_of("backbone")
    pairs = _pairs(network.weights, backbone, None, None)
    if not backbone or pairs is None:
        raise ValueError(
            f"The backbone in {path} is another one than that of network "
            f"'{model.network.name}'; build it with the same backbone."
        )
    for old, new in pairs:
        new.assign(old)


def _auxiliary_pairs(source, model, found):
    """Return the weights of auxiliary heads that a file has as the model has them."""
    if not isinstance(source, SegmentationModel):
        return []
    old, new = (
        [weight for layer in each.auxiliary_layers for weight in layer.weights]
        for each in (source, model)
    )
    return _pairs(old, new, found, model.num_classes) or []


def _pairs(
    old: Sequence[keras.Variable],
    new: Sequence[keras.Variable],
    found: int | None,
    wanted: int | None,
) -> list[tuple] | None:
    """Return the weights to copy, None where they are of different networks.

    Left out are weights of another number of classes, see `_differ_in_classes`.
    """
    shapes = [(tuple(a.shape), tuple(b.shape)) for a, b in zip(old, new, strict=False)]
    same = [a == b for a, b in shapes]
    of_classes = [_differ_in_classes(a, b, found, wanted) for a, b in shapes]
    fits = all(s or c for s, c in zip(same, of_classes, strict=True))
    if len(old) != len(new) or not fits:
        return None
    pairs = zip(old, new, same, strict=True)
    return [(a, b) for a, b, is_same in pairs if is_same]


def _differ_in_classes(a, b, found, wanted):
    """Return whether two shapes differ in the classes alone, their last dimension.

    It may be a multiple of them, where each position makes the logits of pixels.
    """
    if found == wanted or not a:
        return False
    pixels = a[-1] // found
    return a[-1] == pixels * found and b == (*a[:-1], pixels * wanted)
