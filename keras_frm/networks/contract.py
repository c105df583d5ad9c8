"""What a network's builder returns to the trainer and to every export."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras

from keras_frm.backend.private_hooks import maker_of, taken_by

# Names of outputs of a training graph; those of auxiliary outputs have a prefix.
_LOGITS, _FEATURES, _AUXILIARY = "logits", "features", "aux_"


@dataclass(frozen=True)
class NetworkParts:
    """The tensors of a network that its training and its inference need.

    Inference, saving of the network and every export have `logits` only; the rest
    belongs to the training.

    Args:
        image: (B, H, W, 3), RGB in [0, 255].
        logits: (B, H, W, classes) at the image's size.
        features: (B, H / s, W / s, D), which an embedding head reads; None for none. It
            must be the input of a layer of the network, such as the last convolution,
            by whose name a rewritten graph finds it again.
        auxiliary: Name -> output of the training alone: logits of the classes
            (B, h, w, classes), or another map such as a boundary's (B, h, w, 1).
        groups: Name of a parameter group -> names of its layers; "backbone" is the one
            that can have a learning rate of its own.
        stride: Rows of the image for one row of the logits before their last resizing.
        name: Name of the network.

    Raises:
        ValueError: The image has other channels than RGB.

    Example:
    >>> image = keras.Input((None, None, 3))
    >>> features = keras.layers.Conv2D(8, 4, 4)(image)
    >>> logits = keras.layers.Conv2D(2, 1)(features)
    >>> logits = keras.layers.UpSampling2D(4)(logits)
    >>> NetworkParts(image, logits, features, stride=4).num_classes
    2
    """

    image: keras.KerasTensor
    logits: keras.KerasTensor
    features: keras.KerasTensor | None = None
    auxiliary: Mapping[str, keras.KerasTensor] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stride: int = 1
    name: str = "network"

    def __post_init__(self):
        if self.image.shape[-1] not in (3, None):
            raise ValueError(
                f"Network '{self.name}' takes images of {self.image.shape[-1]} "
                "channels; images are RGB here, of 3. Give grey ones three times over."
            )

    @property
    def num_classes(self) -> int:
        """Number of classes the network tells apart."""
        return self.logits.shape[-1]

    def is_boundary(self, name: str) -> bool:
        """Return whether an auxiliary output has one channel, and is not of classes.

        Args:
            name: Name of the auxiliary output.
        """
        channels = self.auxiliary[name].shape[-1]
        return channels == 1 and channels != self.num_classes

    def network(self) -> keras.Model:
        """Return the network of inference: image to logits."""
        return keras.Model(self.image, self.logits, name=self.name)

    def training_graph(self) -> keras.Model:
        """Return the network of training: image to a dict of outputs.

        The keys are "logits", "features" where there are some, and "aux_NAME".
        """
        outputs = {_LOGITS: self.logits}
        if self.features is not None:
            outputs[_FEATURES] = self.features
        outputs |= {_AUXILIARY + name: x for name, x in self.auxiliary.items()}
        return keras.Model(self.image, outputs, name=self.name)

    @classmethod
    def of_training_graph(
        cls, graph: keras.Model, groups: Mapping[str, tuple[str, ...]], stride: int
    ) -> "NetworkParts":
        """Return the parts that `training_graph` made a graph of."""
        outputs = graph.output
        auxiliary = {
            name.removeprefix(_AUXILIARY): tensor
            for name, tensor in outputs.items()
            if name.startswith(_AUXILIARY)
        }
        return cls(
            graph.input,
            outputs[_LOGITS],
            outputs.get(_FEATURES),
            auxiliary,
            {name: tuple(layers) for name, layers in groups.items()},
            stride,
            graph.name,
        )

    def features_reader(self) -> str | None:
        """Return the name of a layer of the network that reads `features`."""
        if self.features is None:
            return None
        readers = [
            operation
            for operation in self.network().operations
            if isinstance(operation, keras.layers.Layer)
            and any(tensor is self.features for tensor in taken_by(operation))
        ]
        if not readers:
            raise ValueError(
                f"No layer of network '{self.name}' takes its `features`; give what "
                "the layer that makes the logits takes."
            )
        # A layer made of others has another name in a flat graph.
        return min(readers, key=lambda layer: not _has_kernel(layer)).name

    def variables_of(self, group: str) -> list[keras.Variable]:
        """Return the weights of a parameter group, none where there is no such group.

        In a flat graph the layers of a group are named by their path in it.
        """
        names = self.groups.get(group, ())
        prefixes = tuple(f"{name}." for name in names)
        return [
            weight
            for layer in self.training_graph().layers
            if layer.name in names or layer.name.startswith(prefixes)
            for weight in layer.weights
        ]


def weighted_layers(
    image: keras.KerasTensor, outputs: list[keras.KerasTensor]
) -> tuple[str, ...]:
    """Return the names of the layers with weights between an image and some outputs.

    Args:
        image: What the network takes.
        outputs: The ends, such as the last features of a backbone.

    Example:
    >>> image = keras.Input((8, 8, 3))
    >>> x = keras.layers.ReLU()(keras.layers.Conv2D(4, 3, name="stem")(image))
    >>> weighted_layers(image, [x])
    ('stem',)
    """
    layers = keras.Model(image, outputs).layers
    return tuple(layer.name for layer in layers if layer.weights)


def parts_of(network: keras.Model) -> NetworkParts:
    """Read the parts of a plain network from its graph.

    The features are what the last layer with a kernel takes, and its result the logits
    before their last resizing; parameter groups are unknown.

    Args:
        network: A built Functional or Sequential model from an image to logits.

    Returns:
        Its parts, without auxiliary outputs.

    Example:
    >>> image = keras.Input((None, None, 3))
    >>> x = keras.layers.Conv2D(8, 4, 4)(image)
    >>> logits = keras.layers.UpSampling2D(4)(keras.layers.Conv2D(2, 1)(x))
    >>> parts = parts_of(keras.Model(image, logits))
    >>> parts.features is x, parts.stride
    (True, 4)
    """
    image, logits = network.inputs[0], network.outputs[0]
    features, own = None, logits
    tensor = logits
    while tensor is not image:
        operation, taken = maker_of(tensor)
        if not taken:
            break
        if _has_kernel(operation):
            features, own = taken[0], tensor
            break
        tensor = taken[0]
    stride = _stride(image, own)
    return NetworkParts(image, logits, features, stride=stride, name=network.name)


def _has_kernel(operation):
    """Return whether an operation is a layer with a kernel, or one around such."""
    return hasattr(getattr(operation, "layer", operation), "kernel")


def _stride(image, logits):
    """Return how many rows of the image a row of logits stands for."""
    height = image.shape[1] or 256
    spec = keras.KerasTensor((1, height, image.shape[2] or 256, image.shape[3]))
    rows = keras.Model(image, logits).compute_output_spec(spec).shape[1]
    return max(1, round(height / rows))
