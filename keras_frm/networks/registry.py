"""The one table of networks, and how a network of a name is built."""

import dataclasses
from typing import Any, Protocol

import keras

from keras_frm.networks.bialignnet import BIALIGNNET_DF2
from keras_frm.networks.contract import NetworkParts
from keras_frm.networks.ddrnet import DDRNET_23, DDRNET_23_SLIM, DDRNET_39
from keras_frm.networks.frm import FRM, FRM_LITE0, FRM_TABLE_1
from keras_frm.networks.pidnet import PIDNET_L, PIDNET_M, PIDNET_S
from keras_frm.networks.rtformer import RTFORMER_BASE, RTFORMER_SLIM
from keras_frm.networks.segformer import SEGFORMER_B0, SEGFORMER_B1
from keras_frm.networks.sfnet import SFNET_R18


class Network(Protocol):
    """A network that can be built: a frozen dataclass whose fields are its options."""

    def build(
        self,
        num_classes: int,
        *,
        input_shape: tuple[int | None, int | None, int],
        dtype: Any,
    ) -> NetworkParts:
        """Return the parts of a new network: RGB in [0, 255] to logits."""


NETWORKS: dict[str, Network] = {
    "frm": FRM,
    "frm_table1": FRM_TABLE_1,
    "frm_lite0": FRM_LITE0,
    "ddrnet_23_slim": DDRNET_23_SLIM,
    "ddrnet_23": DDRNET_23,
    "ddrnet_39": DDRNET_39,
    "pidnet_s": PIDNET_S,
    "pidnet_m": PIDNET_M,
    "pidnet_l": PIDNET_L,
    "sfnet_r18": SFNET_R18,
    "segformer_b0": SEGFORMER_B0,
    "segformer_b1": SEGFORMER_B1,
    "rtformer_slim": RTFORMER_SLIM,
    "rtformer_base": RTFORMER_BASE,
    "bialignnet_df2": BIALIGNNET_DF2,
}


def register_network(name: str, network: Network) -> Network:
    """Add a network, so that its name works wherever a network's name is taken.

    Args:
        name: The name. It must be free.
        network: Instance of a frozen dataclass, whose fields are the options that
            `build_model` takes, with a method `build(num_classes, *, input_shape,
            dtype)` that returns `NetworkParts`.

    Returns:
        The network.

    Raises:
        ValueError: The name is taken by another network.

    Example:
    >>> from keras_frm.networks.frm import FRMNetwork
    >>> register_network("frm_narrow", FRMNetwork(decoder_width=64)).decoder_width
    64
    """
    if NETWORKS.get(name, network) != network:
        raise ValueError(
            f"There is a network '{name}' already; register yours by another name."
        )
    NETWORKS[name] = network
    return network


def network_of(name: str | Network, **options) -> Network:
    """Return a network by name, with other options than its own.

    Args:
        name: Name of a network, or one that is not registered.
        **options: Field of the network -> value.

    Raises:
        ValueError: There is no such network, or it has no such option; the message
            lists those there are.

    Example:
    >>> network_of("frm_table1").alignment
    'flow'
    """
    network = name
    if isinstance(name, str):
        if name not in NETWORKS:
            raise ValueError(
                f"There is no network '{name}'. Choose one of: {', '.join(NETWORKS)}; "
                "or add your own with keras_frm.register_network."
            )
        network = NETWORKS[name]
    known = [field.name for field in dataclasses.fields(network)]
    unknown = [option for option in options if option not in known]
    if unknown:
        label = name if isinstance(name, str) else type(name).__name__
        raise ValueError(
            f"Network '{label}' has no option '{unknown[0]}'. Its options: "
            f"{', '.join(known) or 'none'}."
        )
    return dataclasses.replace(network, **options)


def build_parts(
    num_classes: int,
    network: str | Network = "frm",
    *,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    dtype=None,
    **options,
) -> NetworkParts:
    """Build a network and return its parts, see `build_model`.

    Raises:
        ValueError: A name or a number is wrong.
    """
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be at least 1. Received: {num_classes}")
    if input_shape[-1] != 3:
        raise ValueError(
            f"`input_shape` must end with 3 channels, for images are RGB here; give "
            f"grey ones three times over. Received: {tuple(input_shape)}"
        )
    chosen = network_of(network, **options)
    return chosen.build(num_classes, input_shape=input_shape, dtype=dtype)


def build_network(
    num_classes: int, network: str | Network = "frm", **options
) -> keras.Model:
    """Return the plain network: RGB in [0, 255] to logits at the image's size.

    Args:
        num_classes: Number of classes.
        network: Name of a network, or one that is not registered.
        **options: `input_shape`, `dtype` and the network's own options.

    Raises:
        ValueError: A name or a number is wrong.

    Example:
    >>> network = build_network(11, backbone="van_tiny", decoder_width=32)
    >>> network(keras.ops.ones((1, 45, 64, 3))).shape
    TensorShape([1, 45, 64, 11])
    """
    return build_parts(num_classes, network, **options).network()
