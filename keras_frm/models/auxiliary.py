"""Outputs that only training has, and their losses."""

import dataclasses
from collections.abc import Mapping

import keras
from keras import ops

from keras_frm.layers.blocks.resizing import resize_like
from keras_frm.losses.boundary import labels_near_boundaries
from keras_frm.losses.cross_entropy import as_labels
from keras_frm.networks.contract import NetworkParts, parts_of
from keras_frm.presets import Preset
from keras_frm.recipes import auxiliary_loss, boundary_aware_loss


def trained_parts(network: NetworkParts | keras.Model, preset: Preset) -> NetworkParts:
    """Return the parts that training needs: no output whose loss has a weight of 0.

    Args:
        network: The parts, or a Functional model, see `parts_of`.
        preset: Whose recipe says the weights.
    """
    parts = network if isinstance(network, NetworkParts) else parts_of(network)
    kept = {
        name: x for name, x in parts.auxiliary.items() if weight_of(name, parts, preset)
    }
    return dataclasses.replace(parts, auxiliary=kept)


def weight_of(name: str, parts: NetworkParts, preset: Preset) -> float:
    """Return the weight of an auxiliary output's loss."""
    return preset.recipe.auxiliary_weight(name, parts.is_boundary(name))


def log_name(auxiliary: str) -> str:
    """Return the name of an auxiliary output in the logs and in a training graph."""
    return f"aux_{auxiliary}"


def chosen_losses(
    parts: NetworkParts, preset: Preset, given: Mapping[str, keras.Loss | str] | None
) -> dict[str, keras.Loss]:
    """Return the loss of each auxiliary output.

    Args:
        parts: The network's parts.
        preset: Whose recipe says the losses of classes and of boundaries.
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
        elif output.shape[-1] in (1, parts.num_classes):
            losses[name] = auxiliary_loss(preset, name, parts.is_boundary(name))
        else:
            raise ValueError(
                f"The auxiliary output '{name}' has {output.shape[-1]} channels, not "
                f"one, or one for each of {parts.num_classes} classes, so its loss "
                f"must be given: compile(auxiliary_losses={{'{name}': ...}})."
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
    return loss(labels, _at_full_size(output, labels), sample_weight=sample_weight)


def boundary_output(parts: NetworkParts) -> str | None:
    """Return the name of the output that finds boundaries, None without one."""
    return next(filter(parts.is_boundary, parts.auxiliary), None)


def boundary_aware_term(preset: Preset, labels, logits, boundary, sample_weight=None):
    """Return the preset's main loss of the pixels where a boundary is predicted.

    Args:
        preset: Whose recipe says the loss and the threshold.
        labels: (B, H, W) or (B, H, W, 1) integer labels.
        logits: (B, H, W, classes).
        boundary: (B, h, w, 1) logits of boundaries.
        sample_weight: See `CrossEntropy`.
    """
    labels = as_labels(labels)
    near = labels_near_boundaries(
        labels,
        _at_full_size(boundary, labels),
        preset.recipe.boundary_threshold,
        preset.labels.ignore_label,
    )
    return boundary_aware_loss(preset)(near, logits, sample_weight=sample_weight)


def _at_full_size(output, labels):
    return resize_like(ops.cast(output, "float32"), labels)  # (B, H, W, C)
