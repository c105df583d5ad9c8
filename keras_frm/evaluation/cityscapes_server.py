"""Predictions in the format of the Cityscapes evaluation server."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from keras_frm.files import write_png
from keras_frm.images.reading import read_image
from keras_frm.labels import CITYSCAPES

# <city>_<sequence>_<frame>, as image files begin.
_FRAME = re.compile(r"[a-z-]+_\d{6}_\d{6}(?=_|\.|$)", re.IGNORECASE)


def to_label_ids(mask: np.ndarray) -> np.ndarray:
    """Map Cityscapes train ids to the label ids that the server expects.

    Source: mcordts/cityscapesScripts, helpers/labels.py and
    evaluation/evalPixelLevelSemanticLabeling.py.

    Args:
        mask: (H, W) train ids 0..18, any integer dtype; 255 becomes 0, "unlabeled".

    Returns:
        (H, W) uint8 label ids.

    Raises:
        ValueError: If the mask holds other ids.

    Example:
    >>> to_label_ids(np.array([[0, 13], [18, 255]])).tolist()
    [[7, 26], [33, 0]]
    """
    mask = np.asarray(mask)
    table = np.full(256, -1)
    for label_id, train_id in CITYSCAPES.ids.items():
        table[train_id] = label_id
    table[CITYSCAPES.ignore_label] = 0
    valid = mask.dtype.kind in "iu" and mask.ndim == 2
    if valid and mask.size:
        valid = mask.min() >= 0 and mask.max() <= 255 and table[mask].min() >= 0
    if not valid:
        raise ValueError(
            "A prediction for the Cityscapes server must be (H, W) train ids 0..18 or "
            f"255; got {mask.dtype} of shape {mask.shape} with other ids or axes."
        )
    return table[mask].astype(np.uint8)


def submission_name(image_file: str | Path) -> str:
    """Name the prediction of an image, after the pattern the server looks for.

    The official script looks for `<city>_<sequence>_<frame>*.png`.

    Args:
        image_file: Path or name of the image.

    Returns:
        `<city>_<sequence>_<frame>_pred_labelIds.png`.

    Raises:
        ValueError: If the image is not named as Cityscapes names its files.

    Example:
    >>> submission_name("test/berlin/berlin_000000_000019_leftImg8bit.png")
    'berlin_000000_000019_pred_labelIds.png'
    """
    match = _FRAME.match(Path(image_file).name)
    if match is None:
        raise ValueError(
            f"'{image_file}' is not named <city>_<sequence>_<frame>, as "
            "berlin_000000_000019_leftImg8bit.png is; the server needs these names."
        )
    return f"{match[0]}_pred_labelIds.png"


def write_submission(
    segment: Callable[[np.ndarray], np.ndarray],
    image_files: Iterable[str | Path],
    folder: str | Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[Path]:
    """Predict images and write the files to zip and send to the server.

    Args:
        segment: Maps an image (H, W, 3) uint8 RGB to train ids (H, W).
        image_files: The images.
        folder: Folder for the PNG files; made if missing.
        progress: Called with the images done and their total.

    Returns:
        The files written, in the order of the images.

    Raises:
        ValueError: If an image is missing or damaged, two are of one frame, or a mask
            does not fit.
    """
    image_files = [Path(file) for file in image_files]
    names = [submission_name(file) for file in image_files]
    if len(set(names)) < len(names):
        raise ValueError("Two images are of the same frame; the server takes one each.")
    written = []
    for file, name in zip(image_files, names, strict=True):
        image = read_image(file)  # (H, W, 3)
        mask = to_label_ids(segment(image))  # (H, W)
        if mask.shape != image.shape[:2]:
            raise ValueError(
                f"The mask of {file} is {mask.shape}, the image {image.shape[:2]}; the "
                "server takes masks at the image's size only."
            )
        written.append(Path(folder) / name)
        write_png(written[-1], mask)
        if progress is not None:
            progress(len(written), len(names))
    return written
