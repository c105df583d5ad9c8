"""Whether an exported file computes what its Keras model computes."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_frm.export.report import ExportError
from keras_frm.export.request import ExportRequest
from keras_frm.export.samples import Samples
from keras_frm.runtime.backends.network import Network

# Of the spread of the logits; rounding to int8 turns the classes of smaller margins.
_SMALLEST_MARGIN = 0.1
# A class of fewer pixels says nothing for itself.
_SMALLEST_SHARE = 0.01


@dataclass(frozen=True)
class Agreement:
    """How far the masks of a file are those of its Keras model.

    Args:
        pixels: Share of all pixels with the model's class, 0 to 1.
        sure: Share of the sure pixels with it, see `sure_agreement`; the number that a
            file is judged by.
        images: Number of images it was measured on.
        held_out: Whether these are other images than those calibrated on; None where
            nothing was calibrated.
    """

    pixels: float
    sure: float
    images: int
    held_out: bool | None


def agreement_of(network: Network, logits: keras.Model, samples: Samples) -> Agreement:
    """Compare the masks of a file with those of its Keras model.

    Args:
        network: The file, open.
        logits: The model, from (1, H, W, 3) to (1, h, w, C).
        samples: The images.
    """
    masks = np.stack([_mask(network.run(image)) for image in samples.checked])
    expected = np.concatenate(
        [
            keras.ops.convert_to_numpy(logits(image[None].astype(np.float32)))
            for image in samples.checked
        ]
    )  # (B, h, w, C)
    return Agreement(
        pixels=float(np.mean(masks == expected.argmax(axis=-1))),
        sure=sure_agreement(masks, expected),
        images=len(samples.checked),
        held_out=samples.held_out if samples.calibration else None,
    )


def _mask(output: np.ndarray) -> np.ndarray:
    """Return the class ids (h, w) of a network's output."""
    return output if output.ndim == 2 else output.argmax(axis=-1)


def sure_agreement(masks: np.ndarray, logits: np.ndarray) -> float:
    """Return the share of the sure pixels that keep the model's class, class by class.

    A sure pixel is one whose two largest logits are further apart than a tenth of the
    spread of all logits: between nearer ones rounding may choose, in a good file too.
    The mean over classes keeps a class that covers everything from hiding the others.

    Measured on int8 graphs of a small network that was not trained, and of the demo's
    after four epochs: good ones have 0.999 or more, calibrated on one image even.
    Calibrated on images at a quarter of the brightness they have 0.66 and 0.87, with
    ranges of half the width 0.90 and 0.84, with the channels of a convolution permuted
    0.47 or less. One range at a quarter has 0.91 to 0.98, and a tensor moved by 30 of
    its 256 steps 0.67 to 1.00: where that hardly changes the masks, the number stays
    high. A network that is all near ties has 0.93 in a good file.

    Args:
        masks: (B, H, W) class ids of the file.
        logits: (B, H, W, C) logits of the Keras model.

    Example:
    >>> logits = np.array([[[[5.0, 0], [0.1, 0], [0, 4], [0, 0.1]]]])
    >>> sure_agreement(np.array([[[0, 1, 1, 0]]]), logits)
    1.0
    >>> sure_agreement(np.array([[[0, 0, 0, 0]]]), logits)
    0.5
    """
    if logits.shape[-1] == 1:
        return float(np.mean(masks == 0))
    largest = np.partition(logits, -2, axis=-1)[..., -2:]
    margins = largest[..., 1] - largest[..., 0]  # (B, H, W)
    spread = np.std(logits - logits.mean(axis=-1, keepdims=True))
    sure = margins > _SMALLEST_MARGIN * spread
    expected = logits.argmax(axis=-1)
    members = [sure & (expected == label) for label in np.unique(expected)]
    shares = [
        np.mean(masks[of_class] == expected[of_class])
        for of_class in members
        if of_class.mean() >= _SMALLEST_SHARE
    ]
    return float(np.mean(shares if shares else masks == expected))


def check_agreement(agreement: Agreement, request: ExportRequest) -> None:
    """Refuse a file that does not compute what its model computes.

    Raises:
        ExportError: Too few of the sure pixels keep their class.
    """
    if agreement.sure < request.min_agreement:
        raise ExportError(
            f"The {request.target.precision} file keeps the model's class on "
            f"{100 * agreement.sure:.2f} % of the sure pixels, below min_agreement="
            f"{request.min_agreement}; '{request.path}' was not written."
        )
