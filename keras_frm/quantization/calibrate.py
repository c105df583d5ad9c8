"""Calibration: the range of every tensor, measured on images."""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_frm.quantization.plan import Plan

# A tensor that is zero everywhere would get the scale 0.
_SMALLEST_WIDTH = 1e-3


def calibrate(
    model: keras.Model,
    plan: Plan,
    images: Iterable[np.ndarray],
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, tuple[float, float]]:
    """Measure the ranges of a plan: the mean of the images' smallest and largest.

    The mean over images leaves out what one image alone reaches, which would cost all
    others precision.

    Args:
        model: The Functional model the plan's graph was read from.
        plan: Which tensors have ranges.
        images: Arrays (H, W, 3) or (B, H, W, 3), RGB in [0, 255], at the model's size.
        progress: Called with the number of images done and None.

    Returns:
        Name of a range -> (minimum, maximum).

    Raises:
        ValueError: There is no image, one has another size, a tensor is not finite, or
            the plan has no range to measure.
    """
    measured = {
        name: tensors
        for name, tensors in plan.tensors_by_range().items()
        if name not in plan.fixed_ranges
    }
    if not measured:
        raise ValueError("There is nothing to quantise: every operation stays float.")
    extremes = _extremes_function(plan, measured)
    total, count = 0, 0
    for batch in images:
        batch = np.asarray(batch, np.float32)
        for image in batch if batch.ndim == 4 else batch[None]:
            if image.shape != tuple(model.input.shape[1:]):
                raise ValueError(
                    f"A calibration image has shape {image.shape}; the export takes "
                    f"{tuple(model.input.shape[1:])}. Resize the dataset."
                )
            total = total + extremes(image[None]).numpy().astype(np.float64)
            count += 1
            if progress is not None:
                progress(count, None)
    if not count:
        raise ValueError(
            "There are no calibration images: representative_data is empty."
        )
    means = total / count  # (ranges, 2)
    for name, (low, high) in zip(measured, means, strict=True):
        if not np.isfinite([low, high]).all():
            raise ValueError(
                f"The output of '{name}' is not finite on the calibration images; the "
                "model cannot be quantised. Check its weights."
            )
    ranges = {
        name: (low, max(high, low + _SMALLEST_WIDTH))
        for name, (low, high) in zip(measured, means.tolist(), strict=True)
    }
    return {**ranges, **plan.fixed_ranges}


def check_weights(model: keras.Model) -> None:
    """Refuse weights that are no numbers.

    `calibrate` sees only what has a range.

    Args:
        model: A Functional model.

    Raises:
        ValueError: A weight holds NaN or infinity.
    """
    for layer in model.layers:
        for weight in layer.weights:
            if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
                raise ValueError(
                    f"The {weight.name} of '{layer.name}' is not finite; the model "
                    "cannot be quantised. Check its weights."
                )


def _extremes_function(plan, measured):
    """Return a function from an image to the extremes of every range: (ranges, 2)."""
    tensors = [tensor for members in measured.values() for tensor in members]
    sizes = [len(members) for members in measured.values()]
    probe = keras.Model(plan.graph.inputs, tensors)

    @tf.function(autograph=False)
    def extremes(image):
        # Of one tensor, Keras makes no list.
        values = iter(keras.tree.flatten(probe(image, training=False)))
        rows = []
        for size in sizes:
            members = [next(values) for _ in range(size)]
            low = tf.reduce_min([tf.reduce_min(value) for value in members])
            high = tf.reduce_max([tf.reduce_max(value) for value in members])
            rows.append(tf.stack([low, high]))
        return tf.stack(rows)

    return extremes
