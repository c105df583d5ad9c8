"""Evaluate a model, or an exported file, on labelled images."""

import functools
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_frm.backend import require_tensorflow
from keras_frm.errors import ArgumentError
from keras_frm.evaluation.pairs import image_pairs
from keras_frm.evaluation.predictors import (
    Predict,
    Score,
    multi_scale,
    sliding_window,
    whole_image,
)
from keras_frm.evaluation.report import Evaluation
from keras_frm.files import write_png
from keras_frm.labels import LabelSet, known_class_count, numbered_labels
from keras_frm.metrics import confusion_matrix
from keras_frm.models.own_preset import own_labels


def evaluate(
    model: keras.Model | Callable[[np.ndarray], np.ndarray],
    dataset: Iterable,
    *,
    labels: LabelSet | None = None,
    mode: str = "whole",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    save_predictions: str | Path | None = None,
    on_image: Callable[[int, np.ndarray, np.ndarray, np.ndarray], None] | None = None,
) -> Evaluation:
    """Predict every image of a dataset and compare with its label.

    Images are predicted one at a time, at their own size.

    Args:
        model: A Keras model from RGB in [0, 255], (B, H, W, 3), to logits
            (B, H, W, C) at the input's size; or any callable from an image (H, W, 3)
            uint8 to a mask (H, W) of train ids, such as `keras_frm.Segmenter`.
        dataset: A `tf.data.Dataset` or iterable of pairs: image (H, W, 3) uint8 or
            float in [0, 255] and label (H, W) or (H, W, 1) integer train ids, both
            with or without a leading batch axis.
        labels: The classes; None takes `dataset.labels`, then those of `model.labels`
            or of the model's preset, or numbered names for as many classes as a Keras
            model has.
        mode: "whole", or "slide" for windows (Keras models only).
        window: (h, w) in pixels for "slide"; None takes the size that the model is
            fixed to.
        stride: (down, right) in pixels for "slide"; None is 2/3 of the window.
        scales: Scales whose probabilities are averaged (Keras models only).
        flip: Whether to average over the mirror image too (Keras models only).
        progress: Called with the dataset's elements (batches) done and their total,
            None if unknown.
        save_predictions: Folder for the predicted masks, PNG of train ids named by
            position: `000000.png`.
        on_image: Called with position, image, label and predicted mask of each image.

    Returns:
        The evaluation; all scores are NaN and `note` says so if all pixels are
        ignored.

    Raises:
        ValueError: If the dataset is empty or endless, the model has another number
            of classes than `labels`, images are not in [0, 255] or are fractions of
            1, or sizes, ids or options do not fit.

    Example:
    >>> image = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)  # (1, 2, 3)
    >>> label = np.array([[0, 1]], np.uint8)
    >>> labels = LabelSet("two", ("dark", "light"), ((0, 0, 0), (255, 255, 255)))
    >>> bright = lambda image: (image[..., 0] > 127).astype(np.uint8)
    >>> evaluate(bright, [(image, label)], labels=labels).mean_iou
    1.0
    """
    labels = labels or getattr(dataset, "labels", None)
    score = _score_function(model, mode, window, stride, scales, flip)
    if score is None:
        labels = _mask_labels(model, labels)
    confusion, images = 0, 0
    for image, label in image_pairs(dataset, progress):
        if score is None:
            prediction = _called_mask(model, image)
        else:
            scores = score(image)  # (H, W, C)
            labels = labels or own_labels(model) or _numbered(scores.shape[-1])
            _check_class_count(scores.shape[-1], labels)
            prediction = scores.argmax(axis=-1).astype(np.uint8)  # (H, W)
        try:
            confusion = confusion + confusion_matrix(
                label, prediction, labels.num_classes, labels.ignore_label
            )
        except ValueError as error:
            raise ValueError(f"Image {images} of the dataset: {error}") from error
        if save_predictions is not None:
            write_png(Path(save_predictions) / f"{images:06d}.png", prediction)
        if on_image is not None:
            on_image(images, image, label, prediction)
        images += 1
    if not images:
        raise ValueError("The dataset is empty: there is nothing to evaluate.")
    return Evaluation(confusion, labels, images)


def _score_function(model, mode, window, stride, scales, flip) -> Score | None:
    """Return what scores an image as asked for, None for callables without scores."""
    if mode not in ("whole", "slide"):
        raise ValueError(f"mode must be 'whole' or 'slide', not {mode!r}.")
    averaged = flip or tuple(scales) != (1.0,)
    if not isinstance(model, keras.Layer):
        if mode != "whole" or averaged:
            raise ValueError(
                "A callable that returns masks has no scores to average; use "
                "mode='whole', scales=(1.0,), flip=False, or pass the Keras model."
            )
        return None
    require_tensorflow("The evaluation of a Keras model")
    if mode == "whole":
        score = functools.partial(whole_image, predict=_predict_function(model))
    else:
        window = window or _fixed_size(model)
        if window is None:
            raise ArgumentError(
                "The model takes images of any size, so windows need one of their own",
                "window",
                "pass window=(height, width) in pixels",
            )
        score = functools.partial(
            sliding_window,
            predict=_predict_function(model),
            window=window,
            stride=stride,
        )
    if not averaged:
        return score
    return functools.partial(multi_scale, score=score, scales=scales, flip=flip)


def _predict_function(model: keras.Layer) -> Predict:
    """Wrap a Keras model as images -> logits in NumPy."""

    # After the second size the sizes become symbolic: two traces serve all images.
    @tf.function(reduce_retracing=True, autograph=False)
    def logits(images):
        outputs = model(tf.cast(images, tf.float32), training=False)
        if isinstance(outputs, (dict, list, tuple)):
            raise ValueError(
                "The model returns several outputs; it must return one tensor of "
                "logits (B, H, W, C) at inference."
            )
        return tf.cast(outputs, tf.float32)

    fixed = _fixed_size(model)

    def predict(images: np.ndarray) -> np.ndarray:
        if fixed not in (None, images.shape[1:3]):
            raise ArgumentError(
                f"The model takes images of {fixed[0]}x{fixed[1]} only and got "
                f"{images.shape[1]}x{images.shape[2]}",
                "window",
                f"use mode='slide', window={fixed}",
            )
        return logits(tf.constant(images)).numpy()

    return predict


def _fixed_size(model: keras.Layer) -> tuple[int, int] | None:
    """Return the (H, W) that a model is fixed to, None if it takes any size."""
    network = getattr(model, "network", model)  # of a SegmentationModel
    size = tuple(getattr(network, "input_shape", ())[1:3])
    return size if len(size) == 2 and None not in size else None


def _mask_labels(segment: Callable, labels: LabelSet | None) -> LabelSet:
    """Return the classes of a callable's masks: its own if no others are given."""
    own = own_labels(segment)
    if own is None and labels is None:
        raise ArgumentError(
            "A callable that returns masks does not tell its classes", "labels"
        )
    if labels is None:
        return own
    count = known_class_count(own)
    if count not in (None, labels.num_classes):
        path = getattr(segment, "path", "this callable")
        raise ArgumentError(
            f"The model in {path} has {count} classes and the label set "
            f"'{labels.name}' has {labels.num_classes}",
            "labels",
            "pass the labels= that it was trained on",
        )
    return labels


def _numbered(count: int) -> LabelSet:
    warnings.warn(
        f"Neither the dataset nor the model tells the names of its {count} classes, so "
        "they are numbered; pass labels= to name them.",
        UserWarning,
        stacklevel=3,
    )
    return numbered_labels(count)


def _called_mask(segment: Callable, image: np.ndarray) -> np.ndarray:
    """Return the mask (H, W) of a callable that takes uint8."""
    if image.dtype != np.uint8:
        image = np.rint(image).astype(np.uint8)
    mask = np.asarray(segment(image))
    if mask.shape != image.shape[:2] or mask.dtype.kind not in "iu":
        raise ValueError(
            f"The callable returned {mask.dtype} of shape {mask.shape} for an image of "
            f"shape {image.shape}; it must return integer train ids (H, W)."
        )
    return mask


def _check_class_count(count: int, labels: LabelSet) -> None:
    if count != labels.num_classes:
        raise ArgumentError(
            f"The model has {count} classes, label set '{labels.name}' has "
            f"{labels.num_classes}",
            "labels",
            "pass the labels= that the model was trained on",
        )
