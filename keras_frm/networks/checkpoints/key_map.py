"""Where the tensors of an official checkpoint belong in a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_frm.networks.checkpoints.modules import Names


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
