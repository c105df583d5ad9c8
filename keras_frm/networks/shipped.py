"""The network that shipped weights belong to."""

import dataclasses
from collections.abc import Mapping

from keras_frm.networks.registry import Network, network_of
from keras_frm.weights.shipped import ShippedWeights

# Options that change the training and leave the weights' names and shapes.
_OF_TRAINING = ("drop_path_rate", "rematerialize", "freeze_backbone")


def network_of_weights(
    shipped: ShippedWeights, network: str | Network | None, options: Mapping
) -> str | Network:
    """Return the network of shipped weights, with options of the training alone.

    Args:
        shipped: The weights.
        network: What the caller asks for, None for what belongs to the weights.
        options: Options of the network that the caller gives.

    Returns:
        `network`, or the name of the network that belongs to the weights.

    Raises:
        ValueError: The caller asks for another network.
    """
    if network is None:
        network = shipped.network
    own, asked = network_of(shipped.network), network_of(network, **options)
    if type(asked) is not type(own):
        raise ValueError(
            f"Weights '{shipped.name}' belong to network '{shipped.network}', and "
            f"another one is asked for ({network!r}). Leave out one of them."
        )
    for field in dataclasses.fields(own):
        wanted, value = getattr(own, field.name), getattr(asked, field.name)
        if field.name not in _OF_TRAINING and wanted != value:
            raise ValueError(
                f"Weights '{shipped.name}' belong to network '{shipped.network}', "
                f"whose {field.name} is {wanted!r}, not {value!r}. Leave out what is "
                "another network's, or these weights."
            )
    return network
