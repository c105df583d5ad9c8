"""Whether an exported file computes what its Keras model computes."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_frm.export.request import ExportRequest
from keras_frm.export.samples import Samples
from keras_frm.export.tflite.checks import ExportError, mask_agreement

# A class of fewer pixels says nothing for itself.
_SMALLEST_SHARE = 0.01


@dataclass(frozen=True)
class Agreement:
    """How far the masks of a file are those of its Keras model.

    Args:
        pixels: Share of all pixels with the model's class, 0 to 1.
        sure: See `sure_agreement`; the number that a file is judged by.
        images: Number of images it was measured on.
        held_out: Whether these are other images than those calibrated on; None where
            nothing was calibrated.
    """

    pixels: float
    sure: float
    images: int
    held_out: bool | None


def agreement_of(masks: np.ndarray, logits: keras.Model, samples: Samples) -> Agreement:
    """Compare the masks of a file with those of its Keras model.

    Args:
        masks: (B, h, w) class ids of the file for the checked images.
        logits: The model, from (1, H, W, 3) to (1, h, w, C).
        samples: The images.
    """
    expected = np.concatenate(
        [
            keras.ops.convert_to_numpy(logits(image[None].astype(np.float32)))
            for image in samples.checked
        ]
    )  # (B, h, w, C)
    return Agreement(
        pixels=mask_agreement(masks, expected.argmax(axis=-1)),
        sure=sure_agreement(masks, expected),
        images=len(samples.checked),
        held_out=samples.held_out if samples.calibration else None,
    )


def sure_agreement(masks: np.ndarray, logits: np.ndarray) -> float:
    """Return the share of the surer pixels that keep the model's class.

    TODO evidence

    Args:
        masks: (B, H, W) class ids of the file.
        logits: (B, H, W, C) logits of the Keras model.

    Example:
    >>> logits = np.array([[[[5.0, 0], [0.1, 0], [0, 4], [0, 0.2]]]])
    >>> sure_agreement(np.array([[[0, 1, 1, 0]]]), logits)
    1.0
    >>> sure_agreement(np.array([[[0, 0, 0, 0]]]), logits)
    0.5
    """
    ordered = np.sort(logits, axis=-1)
    margins = ordered[..., -1] - ordered[..., -2]  # (B, H, W)
    expected = logits.argmax(axis=-1)
    kept = []
    for label in np.unique(expected):
        members = expected == label
        if members.mean() < _SMALLEST_SHARE:
            continue
        sure = members & (margins >= np.median(margins[members]))
        kept.append(np.mean(masks[sure] == label))
    return float(np.mean(kept))


def check_agreement(agreement: Agreement, request: ExportRequest) -> None:
    """Refuse a file that does not compute what its model computes.

    Raises:
        ExportError: Too few of the surer pixels keep their class.
    """
    if agreement.sure < request.min_agreement:
        raise ExportError(
            f"The {request.target.precision} file keeps the model's class on "
            f"{100 * agreement.sure:.2f} % of the surer pixels, below min_agreement="
            f"{request.min_agreement}; '{request.path}' was not written."
        )
