"""What `keras-frm train` needs besides: the model, and the lines that it prints."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_frm.weights.shipped import LicenceNotice, find_shipped

if TYPE_CHECKING:  # what starts TensorFlow
    from keras_frm.models.segmentation_model import SegmentationModel
    from keras_frm.networks.registry import Network
    from keras_frm.presets import Preset
    from keras_frm.training.position import Position


def mask_of(pair: tuple) -> np.ndarray:
    """Return the mask of a batch of one."""
    return pair[1][0].numpy()  # (H, W)


def given_options(**options) -> dict:
    """Return the options of the network that were given; "none" is a value, too."""
    return {
        name: None if value == "none" else value
        for name, value in options.items()
        if value is not None
    }


def network_named(network: str | None, weights: str | None) -> str | None:
    """Return the network's name: as given, or else that of shipped weights."""
    shipped = find_shipped(weights)
    return shipped.network if network is None and shipped else network


def built_model(
    chosen: "Preset", weights: str | None, network: "Network", precision: str
) -> "SegmentationModel":
    """Build the model, and say in a line what was left out of its weights.

    Args:
        chosen: The preset.
        weights: Name of weights, a file, or a run folder; None for random ones.
        network: The network.
        precision: Dtype policy.

    Raises:
        ValueError: Keras runs on another backend than TensorFlow.
    """
    from keras_frm.backend import require_tensorflow
    from keras_frm.models.build import build_model
    from keras_frm.models.weights import ClassifierLeftOut
    from keras_frm.training.run_folder import trained_file

    require_tensorflow("keras-frm train")
    if weights is not None and os.path.isdir(weights) and not find_shipped(weights):
        weights = trained_file(Path(weights))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ClassifierLeftOut)
        warnings.simplefilter("always", LicenceNotice)
        model = build_model(chosen, network=network, weights=weights, dtype=precision)
    for warning in said:
        print(warning.message)
    return model


def use_deterministic_operations() -> None:
    """Make TensorFlow give the same bits each time."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def finished_line(folder: Path, position: "Position") -> str:
    """Say that a training is finished, and how good it got."""
    plural = "s" * (position.epoch != 1)
    line = f"{folder} is finished after {position.epoch} epoch{plural}"
    more = "--more-epochs N gives it more"
    if position.best_epoch is None:
        return f"{line}; {more}"
    best = f"{position.best:.4f} in epoch {position.best_epoch + 1}"
    return f"{line}; the best mean IoU was {best}; {more}"


def adjusted_line(found: dict[float, float]) -> str:
    """Say what was taken from the classifier's bias, and what it is good for.

    Args:
        found: Amount of the class weights' logarithms -> mean IoU.

    Example:
    >>> adjusted_line({0.0: 0.45, 0.5: 0.48})
    'took 0.5 of the class weights back: 0.4800 on training images, 0.4500 without'
    """
    best = max(found, key=found.get)
    return (
        f"took {best} of the class weights back: {found[best]:.4f} on training images, "
        f"{found[0.0]:.4f} without"
    )


def effective_batch_line(batch_size: int, accumulate: int, replicas: int) -> str:
    """Say how many images an update of the weights comes from."""
    return (
        f"effective batch: {batch_size * accumulate} images ({batch_size} in a step on "
        f"{replicas} device{'s' * (replicas > 1)}, {accumulate} "
        f"step{'s' * (accumulate > 1)} for an update)"
    )
