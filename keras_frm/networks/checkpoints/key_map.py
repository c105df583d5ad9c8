"""Where the tensors of an official checkpoint belong in a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_frm.networks.checkpoints.modules import Names
from keras_frm.networks.heads import classifier_name


@dataclass(frozen=True)
class KeyMap:
    """The layers of a network by the names of its official code.

    Args:
        layers: Name of a layer of the training graph -> its official name. A network
            need not have all of them.
        auxiliary: Starts of the official names of what training alone has; a file need
            not have them.
        classifiers: Layers whose last dimension is the number of classes; the first
            one makes the network's logits.
        unused: Starts of the names of what files have and no network uses.
        pixel_shuffles: Layers whose channels become blocks of pixels -> height and
            width of a block. Official ones are in the order (channel, row, column),
            those of `DepthToSpace` in (row, column, channel).
    """

    layers: Mapping[str, Names]
    auxiliary: tuple[str, ...]
    classifiers: tuple[str, ...]
    unused: tuple[str, ...] = ()
    pixel_shuffles: Mapping[str, int] = field(default_factory=dict)


# The beginning that DDRNet, PIDNet and RTFormer share, see `stems.residual_stem`.
RESIDUAL_STEM: Mapping[str, Names] = {
    "stem_1": ("conv1.0", "conv1.1"),
    "stem_2": ("conv1.3", "conv1.4"),
    "stage_1": "layer1",
    "stage_2": "layer2",
}


def preactivation_head_names(head: str, module: str) -> dict[str, Names]:
    """Return the layers of a `heads.preactivation_head` by their official names.

    Args:
        head: Prefix of the layers' names.
        module: Official name of the head.

    Example:
    >>> preactivation_head_names("head", "final_layer")["classifier"]
    'final_layer.conv2'
    """
    return {
        f"{head}_norm": f"{module}.bn1",
        f"{head}_conv": (f"{module}.conv1", f"{module}.bn2"),
        classifier_name(head): f"{module}.conv2",
    }
