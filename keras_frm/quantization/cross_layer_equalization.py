"""Cross-layer equalisation: channels of one size, so that small ones keep bits."""

from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_frm.graph.convolutions import scale_channels
from keras_frm.graph.graph import Graph, rebuild
from keras_frm.graph.layer_scales import constant_scale
from keras_frm.layers.blocks.layer_scale import LayerScale
from keras_frm.quantization.channel_groups import ChannelGroups, absorbs_factors

# A channel that hardly moves on these images may on others; and the squares that a
# LayerNormalization adds up have to fit into float32 exactly.
_SMALLEST_FACTOR = 1 / 8


def equalize_cross_layer(
    model: keras.Model,
    images: Sequence[np.ndarray],
    unchanged: Collection[str] = (),
) -> keras.Model:
    """Divide the channels of a graph's tensors by their size, where that is exact.

    An int8 file has one scale for all channels of a tensor: where the largest is a
    hundred times the smallest, only the largest has eight bits. The convolutions
    before and after absorb the division, and have a scale for each channel.

    Args:
        model: A Functional model of primitive layers with linear convolutions.
        images: Arrays (H, W, 3), RGB in [0, 255], at the model's size. Without any,
            nothing is known and nothing changes.
        unchanged: Names of operations that must take the numbers they take now.

    Returns:
        A Functional model of the same function; a LayerNormalization may have a
        `LayerScale` before it.

    Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
    Correction, 2019, section 4.1; with sizes measured on images, and through
    additions.

    Example:
    >>> x = keras.Input((1, 1, 3))
    >>> first = keras.layers.Conv2D(2, 1, use_bias=False)
    >>> model = keras.Model(x, keras.layers.Conv2D(1, 1)(first(x)))
    >>> first.set_weights([np.reshape([1, 0.25] * 3, (1, 1, 3, 2))])
    >>> new = equalize_cross_layer(model, [np.full((1, 1, 3), 200)])
    >>> new.layers[1].kernel.numpy()[0, 0].round(4).tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    graph = Graph(model)
    groups = ChannelGroups(graph, unchanged).free()
    if not groups or not len(images):
        return model
    sizes = _channel_sizes(graph, groups, images)
    factors = _factors(groups, sizes, _undone_factors(graph))
    replacements = {}
    for call in graph.calls:
        before, after = (
            factors.get(id(tensors[0])) if tensors else None
            for tensors in (call.inputs, call.outputs)
        )
        if before is None and after is None:
            continue
        if absorbs_factors(call.operation):
            inputs = 1.0 if before is None else before
            outputs = 1.0 if after is None else 1 / after
            layer = scale_channels(call.operation, inputs, outputs)
            replacements[call.operation] = layer
        elif isinstance(call.operation, keras.layers.LayerNormalization):
            replacements[call.operation] = _scaled_norm(call.operation, before)
        elif isinstance(call.operation, LayerScale):
            gamma = np.asarray(call.operation.gamma, np.float64) * before
            learned = call.operation.learned
            scale = constant_scale(call.operation.name, gamma, learned)
            replacements[call.operation] = scale
    return rebuild(model, replacements)


def undoes_equalization(operation) -> bool:
    """Return whether an operation multiplies back before a LayerNormalization."""
    return isinstance(operation, LayerScale) and not operation.learned


def _undone_factors(graph) -> Mapping[int, np.ndarray]:
    """Return the factors that an earlier equalisation left, by the tensor's id."""
    return {
        id(call.inputs[0]): np.asarray(call.operation.gamma, np.float64)
        for call in graph.calls
        if undoes_equalization(call.operation)
    }


def _factors(groups, sizes, undone) -> Mapping[int, np.ndarray]:
    """Return what to divide the channels of each tensor by, largest 1, by its id."""
    factors = {}
    for tensors in groups:
        largest = [max(sizes[id(tensor)].max(), 1e-30) for tensor in tensors]
        with np.errstate(invalid="ignore"):  # `calibrate` reports infinite numbers
            relative = [sizes[id(t)] / m for t, m in zip(tensors, largest, strict=True)]
        common = np.max(relative, axis=0)  # (C,)
        usable = np.isfinite(common) & (common > 0)
        earlier = [undone.get(id(t), np.ones_like(common)) for t in tensors]
        smallest = _SMALLEST_FACTOR / np.min(earlier, axis=0)
        common = np.where(usable, np.maximum(common, smallest), 1.0)
        # Powers of two: a LayerNormalization multiplies back without a rounding. Not
        # the next ones but those above, which leave nothing to do a second time.
        common = np.exp2(np.ceil(np.log2(common)))
        factors.update((id(tensor), common) for tensor in tensors)
    return factors


def _channel_sizes(graph, groups, images) -> Mapping[int, np.ndarray]:
    """Return the largest absolute number of each channel, mean of the images."""
    tensors = [tensor for members in groups for tensor in members]
    probe = keras.Model(graph.inputs, tensors)

    @tf.function(autograph=False)
    def sizes(image):
        values = keras.tree.flatten(probe(image, training=False))
        axes = [list(range(len(value.shape) - 1)) for value in values]
        return [tf.reduce_max(tf.abs(v), a) for v, a in zip(values, axes, strict=True)]

    measured = [
        [size.numpy() for size in sizes(np.asarray(image, np.float32)[None])]
        for image in images
    ]
    means = [np.mean(of_tensor, axis=0) for of_tensor in zip(*measured, strict=True)]
    return {id(t): mean for t, mean in zip(tensors, means, strict=True)}


def _scaled_norm(layer, factors):
    """Return a LayerNormalization that undoes the equalisation of its input first."""
    scale = constant_scale(f"{layer.name}.channels", factors, learned=False)
    return lambda x: layer(scale(x))
