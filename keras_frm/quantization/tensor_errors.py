"""Signal to quantisation noise (SQNR) of each tensor of a quantised graph."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from keras_frm.graph.graph import Call, Graph
from keras_frm.graph.run import GraphRun
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.plan import IMAGE

_SUFFIX = ".range"
_STEPS = 255  # of an 8-bit range


@dataclass(frozen=True)
class TensorError:
    """What quantisation does to one tensor.

    Args:
        name: The operation that makes the tensor, "image" for the model's input.
        kind: Class of that operation, such as "Conv2D".
        shape: Of the tensor, batch included.
        snr_db: Signal to noise against the float graph: errors that arrive and those
            made here. inf without any error, -inf for an error where the float
            graph's tensor is zero everywhere.
        own_snr_db: Signal to noise of this fake quantisation alone, from what comes in
            to what goes out in the quantised graph.
        minimum: Smallest number of the range.
        maximum: Largest number of the range.
        steps: Standard deviation of the float graph's tensor in quantisation steps.
        clipped: Share of what comes in that the range cuts off: numbers more than half
            a step outside, which rounding to the nearest does not explain.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    snr_db: float
    own_snr_db: float
    minimum: float
    maximum: float
    steps: float
    clipped: float


def tensor_errors(
    reference: keras.Model,
    quantized: keras.Model,
    images: Iterable[np.ndarray],
    progress: Callable[[int, int | None], None] | None = None,
) -> list[TensorError]:
    """Compare each fake-quantised tensor of a graph with the same tensor in float.

    The signal to noise is 10 log10(sum of squares / sum of squared errors) over all
    images, in decibels; 6 dB are about one bit.

    Args:
        reference: The float graph, a Functional model of batch 1, see
            `inference_graph`.
        quantized: The same graph with layers that fake-quantise tensors, see
            `quantize_after_training`. Their names end in ".range", their method `ends`
            tells the range; the other operations have the names that they have in
            `reference`.
        images: Arrays (H, W, 3), uint8 RGB, at the graphs' size.
        progress: Called with the number of images done and None.

    Returns:
        One entry for each fake-quantised tensor, worst `snr_db` first.

    Raises:
        ValueError: There is no image, one has another size, `quantized` has no fake
            quantisation or is no version of `reference`, or a tensor is not finite.

    Example:
    >>> from keras_frm.quantization.after_training import quantize_after_training
    >>> x = keras.Input(batch_shape=(1, 4, 4, 3))
    >>> graph = keras.Model(x, keras.layers.Conv2D(2, 1, name="conv")(x))
    >>> images = [np.arange(48, dtype=np.uint8).reshape(4, 4, 3)]
    >>> quantized = quantize_after_training(graph, images)
    >>> for error in tensor_errors(graph, quantized, images):
    ...     print(error.name, error.kind, error.snr_db < math.inf)
    conv Conv2D True
    image InputLayer False
    """
    float_graph, quantized_graph = Graph(reference), Graph(quantized)
    comparisons = _comparisons(float_graph, quantized_graph)
    sums = _sums_function(float_graph, quantized_graph, comparisons)
    total, count = 0, 0
    for image in images:
        image = np.asarray(image)
        if image.shape != tuple(reference.input.shape[1:]):
            raise ValueError(
                f"An image has shape {image.shape}; the graphs take "
                f"{tuple(reference.input.shape[1:])}. Resize the images."
            )
        total = total + sums(image[None].astype(np.float32)).numpy()  # (tensors, 6)
        count += 1
        if progress is not None:
            progress(count, None)
    if not count:
        raise ValueError("There are no images to compare the graphs on.")
    errors = [
        comparison.error(row, count)
        for comparison, row in zip(comparisons, total.tolist(), strict=True)
    ]
    return sorted(errors, key=lambda error: error.snr_db)


@dataclass(frozen=True)
class _Comparison:
    """The call of a fake-quantising layer, and its tensor in the float graph."""

    call: Call
    tensor: keras.KerasTensor
    maker: Call | None
    bounds: tuple[float, float]

    def error(self, sums, images) -> TensorError:
        """Return the entry of this tensor from its six sums over images."""
        name = self.maker.operation.name if self.maker else IMAGE
        if not np.isfinite(sums).all():
            raise ValueError(
                f"The tensor of '{name}' is not finite on these images, so it has no "
                "error. Check the weights of both graphs."
            )
        signal, power, noise, own_power, own_noise, clipped = sums
        low, high = self.bounds
        size = images * math.prod(self.tensor.shape)
        deviation = math.sqrt(max(power / size - (signal / size) ** 2, 0.0))
        step = (high - low) / _STEPS
        return TensorError(
            name=name,
            kind=type(self.maker.operation).__name__ if self.maker else "InputLayer",
            shape=tuple(self.tensor.shape),
            snr_db=_decibels(power, noise),
            own_snr_db=_decibels(own_power, own_noise),
            minimum=low,
            maximum=high,
            steps=deviation / step if step > 0 else math.inf,
            clipped=clipped / size,
        )


def _comparisons(float_graph, quantized_graph) -> list[_Comparison]:
    """Find the float tensor of every fake-quantising call, in the graph's order."""
    partners = _partners(float_graph, quantized_graph)
    comparisons = []
    for call in quantized_graph.calls:
        name = call.operation.name
        if not name.endswith(_SUFFIX):
            continue
        (rounded,) = call.inputs
        maker = quantized_graph.maker(rounded)
        if maker and isinstance(maker.operation, FloatBoundary):
            (rounded,) = maker.inputs
        tensor = partners.get(id(rounded))
        if tensor is None:
            maker = quantized_graph.maker(rounded).operation.name
            raise ValueError(
                f"'{name}' rounds the result of '{maker}', which the reference graph "
                "lacks. Make both graphs from one network with the same options."
            )
        if tensor.shape[1:] != rounded.shape[1:]:
            raise ValueError(
                f"'{name}' rounds a tensor of shape {rounded.shape}, but in the "
                f"reference graph its shape is {tensor.shape}. Make both graphs with "
                "the same options."
            )
        maker = float_graph.maker(tensor)
        comparisons.append(_Comparison(call, tensor, maker, _bounds(call.operation)))
    if not comparisons:
        raise ValueError(
            "The graph is not quantised; none of its layers is named "
            f"'<operation>{_SUFFIX}'. Quantise it first, see quantize_after_training."
        )
    return comparisons


def _partners(float_graph, quantized_graph) -> dict[int, keras.KerasTensor]:
    """Return the float graph's tensor for each tensor of the other, by its id."""
    makers: dict[str, list[Call]] = {}
    for call in float_graph.calls:
        makers.setdefault(call.operation.name, []).append(call)
    pairs = list(zip(quantized_graph.inputs, float_graph.inputs, strict=True))
    for call in quantized_graph.calls:
        # What is called several times is called in the same order in both.
        same = makers.get(call.operation.name)
        if same:
            pairs += zip(call.outputs, same.pop(0).outputs, strict=True)
    return {id(rounded): tensor for rounded, tensor in pairs}


def _bounds(layer) -> tuple[float, float]:
    low, high = layer.ends()
    return float(low), float(high)


def _sums_function(float_graph, quantized_graph, comparisons):
    """Return a function from an image to the sums of every tensor: (tensors, 6)."""

    @tf.function(autograph=False)
    def sums(image):
        float_run = GraphRun(float_graph, [image])
        quantized_run = GraphRun(quantized_graph, [image])
        rows = []
        for comparison in comparisons:
            # Neither graph runs ahead of the sums: that would keep its tensors.
            with tf.control_dependencies(rows[-1:]):
                expected = float_run.value(comparison.tensor)
                before = quantized_run.value(comparison.call.inputs[0])
                after = quantized_run.value(comparison.call.outputs[0])
                rows.append(_sums(expected, before, after, *comparison.bounds))
        return tf.stack(rows)

    return sums


def _sums(expected, before, after, low, high):
    """Sum up one tensor: signal, its power and error, the same here, clipped: (6,)."""
    half = (high - low) / _STEPS / 2
    clipped = tf.cast((before < low - half) | (before > high + half), tf.float64)
    expected, before, after = (
        tf.cast(tensor, tf.float64) for tensor in (expected, before, after)
    )
    parts = (expected, after - expected, before, after - before)
    squares = [2 * tf.nn.l2_loss(part) for part in parts]
    return tf.stack([tf.reduce_sum(expected), *squares, tf.reduce_sum(clipped)])


def _decibels(power, noise) -> float:
    """Return the signal to noise of two sums of squares."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(power / noise) if power > 0 else -math.inf
