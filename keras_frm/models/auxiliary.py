"""Outputs that only training has, and their losses."""

import dataclasses
from collections.abc import Mapping

import keras
from keras import ops

from keras_frm.layers.blocks.resizing import resize_like
from keras_frm.losses.cross_entropy import as_labels
from keras_frm.networks.contract import NetworkParts, parts_of
from keras_frm.presets import Preset
from keras_frm.recipes import auxiliary_loss


def trained_parts(network: NetworkParts | keras.Model, preset: Preset) -> NetworkParts:
    """Return the parts that training needs: no output whose loss has a weight of 0.

    Args:
        network: The parts, or a Functional model, see `parts_of`.
        preset: Whose recipe says the weights.
    """
    parts = network if isinstance(network, NetworkParts) else parts_of(network)
    weight = preset.recipe.auxiliary_weight
    auxiliary = {name: x for name, x in parts.auxiliary.items() if weight(name)}
    return dataclasses.replace(parts, auxiliary=auxiliary)


def log_name(auxiliary: str) -> str:
    """Return the name of an auxiliary output in the logs and in a training graph."""
    return f"aux_{auxiliary}"


def chosen_losses(
    parts: NetworkParts, preset: Preset, given: Mapping[str, keras.Loss | str] | None
) -> dict[str, keras.Loss]:
    """Return the loss of each auxiliary output.

    Args:
        parts: The network's parts.
        preset: Whose recipe says the losses of what has the channels of the classes.
        given: Name of an output -> loss, which comes before the recipe's.

    Raises:
        ValueError: There is no such output, or an output has no loss.
    """
    given = dict(given or {})
    unknown = [name for name in given if name not in parts.auxiliary]
    if unknown:
        raise ValueError(
            f"`auxiliary_losses` names '{unknown[0]}'; network '{parts.name}' has "
            f"the auxiliary outputs: {', '.join(parts.auxiliary) or 'none'}."
        )
    losses = {}
    for name, output in parts.auxiliary.items():
        if name in given:
            losses[name] = keras.losses.get(given[name])
        elif output.shape[-1] == parts.num_classes:
            losses[name] = auxiliary_loss(preset, name)
        else:
            raise ValueError(
                f"The auxiliary output '{name}' has {output.shape[-1]} channels, not "
                f"one for each of {parts.num_classes} classes, so its loss must be "
                f"given: compile(auxiliary_losses={{'{name}': ...}})."
            )
    return losses


def loss_at_full_size(loss: keras.Loss, labels, output, sample_weight=None):
    """Return the loss of an auxiliary output, resized to the size of the labels.

    Args:
        loss: Called with labels, resized output and `sample_weight`.
        labels: (B, H, W) or (B, H, W, 1) integer labels.
        output: (B, h, w, C).
        sample_weight: See `CrossEntropy`.
    """
    labels = as_labels(labels)
    output = resize_like(ops.cast(output, "float32"), labels)  # (B, H, W, C)
    return loss(labels, output, sample_weight=sample_weight)
