"""Names that official code gives to the weights inside a layer."""

from collections.abc import Iterator

import keras

from keras_frm.layers import (
    ConvBlock,
    DeepAggregationPyramidPooling,
    ResidualBlock,
    ResidualStage,
)
from keras_frm.networks.checkpoints.state_dict import (
    Target,
    batch_norm_targets,
    conv_targets,
)

# Name of a layer's module; of a convolution and its BatchNorm, both names.
Names = str | tuple[str, str]


def layer_targets(layer: keras.Layer, names: Names) -> Iterator[tuple[str, Target]]:
    """Yield names and targets of all weights of a layer, by its class.

    Args:
        layer: A built layer.
        names: The official name of its module, or of its modules.
    """
    if isinstance(layer, keras.layers.BatchNormalization):
        yield from batch_norm_targets(names, layer)
    elif isinstance(layer, keras.layers.Conv2D):
        yield from conv_targets(names, layer)
    else:
        yield from _COMPOSITES[type(layer)](layer, names)


def _conv_block(layer, names):
    conv, norm = names
    yield from conv_targets(conv, layer.conv)
    yield from batch_norm_targets(norm, layer.norm)


def _residual_block(layer, name):
    for index, block in enumerate(layer.blocks, 1):
        yield from _conv_block(block, (f"{name}.conv{index}", f"{name}.bn{index}"))
    if layer.shortcut is not None:
        names = (f"{name}.downsample.0", f"{name}.downsample.1")
        yield from _conv_block(layer.shortcut, names)


def _residual_stage(layer, name):
    for index, block in enumerate(layer.blocks):
        yield from _residual_block(block, f"{name}.{index}")


def _single_block(layer, name):
    """Yield those of a block that the official code has as a stage of one."""
    yield from _residual_block(layer, f"{name}.0")


def _dappm(layer, name):
    for index, scale in enumerate(layer.scales):
        # The pooled ones begin with the pooling.
        first = 0 if index == 0 else 1
        yield from _preactivation(scale, f"{name}.scale{index}", first)
    for index, process in enumerate(layer.processes, 1):
        yield from _preactivation(process, f"{name}.process{index}")
    yield from _preactivation(layer.compression, f"{name}.compression")
    yield from _preactivation(layer.shortcut, f"{name}.shortcut")


def _preactivation(layer, name, first=0):
    """Yield those of BatchNorm, ReLU, convolution, which are numbered from `first`."""
    yield from _conv_block(layer, (f"{name}.{first + 2}", f"{name}.{first}"))


_COMPOSITES = {
    ConvBlock: _conv_block,
    DeepAggregationPyramidPooling: _dappm,
    ResidualBlock: _single_block,
    ResidualStage: _residual_stage,
}
