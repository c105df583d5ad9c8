"""Draw masks: overlay, legend, and pictures side by side."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from keras_frm.labels import IGNORE_LABEL, LabelSet

_BACKGROUND, _INK = 30, (235, 235, 235)  # dark grey, light grey
_MAX_LETTERS = 24  # of a class name in the legend
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def colourise(mask: np.ndarray, palette) -> np.ndarray:
    """Paint a mask in its classes' colours.

    Args:
        mask: (H, W) uint8 train ids.
        palette: (K, 3) RGB, 0 to 255: `LabelSet.palette` or `LabelSet.colours()`.

    Returns:
        (H, W, 3) uint8 RGB; black where the mask is 255 or has no colour.

    Raises:
        ValueError: If the mask is not (H, W) uint8.

    Example:
    >>> colourise(np.array([[1, 255]], np.uint8), [(9, 9, 9), (255, 0, 0)]).tolist()
    [[[255, 0, 0], [0, 0, 0]]]
    """
    _check(mask, "mask")
    palette = np.asarray(palette, np.uint8)[:IGNORE_LABEL]
    table = np.zeros((1, 256, 3), np.uint8)
    table[0, : len(palette)] = palette
    return cv2.LUT(cv2.merge([mask, mask, mask]), table)  # (H, W, 3)


def overlay(
    image: np.ndarray, mask: np.ndarray, palette, alpha: float = 0.5
) -> np.ndarray:
    """Lay a mask's colours over its image.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 train ids.
        palette: (K, 3) RGB, 0 to 255.
        alpha: Share of the colour, from 0 (image only) to 1 (colour only).

    Returns:
        (H, W, 3) uint8 RGB; the image where the mask is 255 or has no colour.

    Raises:
        ValueError: If sizes or dtypes do not fit, or alpha is out of range.

    Example:
    >>> image = np.full((1, 2, 3), 100, np.uint8)
    >>> overlay(image, np.array([[0, 255]], np.uint8), [(200, 0, 0)]).tolist()
    [[[150, 50, 50], [100, 100, 100]]]
    """
    _check(image, "image", 3)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be from 0 to 1, not {alpha}.")
    colours = colourise(mask, palette)
    if colours.shape != image.shape:
        raise ValueError(
            f"Image {image.shape[:2]} and mask {mask.shape} differ in size."
        )
    blended = cv2.addWeighted(image, 1 - alpha, colours, alpha, 0)
    coloured = (mask < min(len(palette), IGNORE_LABEL)).astype(np.uint8)
    return cv2.copyTo(blended, coloured, image.copy())


def legend(mask: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Draw a panel of the classes in a mask, largest share first.

    The panel has the mask's height, to stand at its right, if all names fit below each
    other; else about its width, to stand below. Its size depends on the mask's size
    and the labels only, so the frames of a video stay equal. Letters grow with both.

    Args:
        mask: (H, W) uint8 train ids.
        labels: Names and colours.

    Returns:
        (H, w, 3) or (h, w, 3) uint8 RGB. Shares are of the pixels with a class.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> legend(np.zeros((240, 320), np.uint8), CAMVID).shape[0]
    240
    """
    _check(mask, "mask")
    row = _legend_row(mask.shape)
    names = [name[:_MAX_LETTERS] for name in labels.classes]
    text_width = max(_text_width(f"{name} 100.0%", row) for name in names)
    column_width = 2 * row + text_width + row // 2
    if _legend_is_right(mask.shape, labels):
        columns, lines = 1, labels.num_classes
        height, width = mask.shape[0], column_width + row // 2
    else:
        columns = max(1, round(mask.shape[1] / column_width))
        lines = -(-labels.num_classes // columns)
        height, width = (lines + 1) * row, columns * column_width + row // 2
    panel = np.full((height, width, 3), _BACKGROUND, np.uint8)
    counts = np.bincount(mask.ravel(), minlength=256)[: labels.num_classes]
    order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    for place, index in enumerate(order):
        column, line = divmod(place, lines)
        x, y = row // 2 + column * column_width, row // 2 + line * row
        end = x + column_width - row // 2
        swatch = np.s_[y + row // 8 : y + row - row // 8, x : x + row]
        panel[swatch] = labels.palette[index]
        _write(panel, names[index], x + row + row // 2, y, row)
        share = f"{100 * counts[index] / counts.sum():.1f}%"
        _write(panel, share, end - _text_width(share, row), y, row)
    return panel


def overlay_with_legend(
    image: np.ndarray, mask: np.ndarray, labels: LabelSet, alpha: float = 0.5
) -> np.ndarray:
    """Lay a mask over its image, with a legend at the right or below.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 train ids.
        labels: Names and colours.
        alpha: Share of the colour, from 0 to 1.

    Returns:
        (h, w, 3) uint8 RGB, the overlay at the top left; one size for all masks.

    Raises:
        ValueError: If sizes or dtypes do not fit.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> picture = np.zeros((240, 320, 3), np.uint8)
    >>> overlay_with_legend(picture, picture[..., 0], CAMVID).shape[0]
    240
    """
    picture = overlay(image, mask, labels.palette, alpha)
    columns = 2 if _legend_is_right(mask.shape, labels) else 1
    return grid([picture, legend(mask, labels)], columns)


def side_by_side(
    image: np.ndarray, label: np.ndarray, prediction: np.ndarray, labels: LabelSet
) -> np.ndarray:
    """Put image, label and prediction next to each other, with titles.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 train ids; ignored pixels are black.
        prediction: (H, W) uint8 train ids.
        labels: Names and colours.

    Returns:
        (h, w, 3) uint8 RGB: a line of titles above, a small gap after each picture.

    Raises:
        ValueError: If sizes or dtypes do not fit.
    """
    _check(image, "image", 3)
    masks = {"label": label, "prediction": prediction}
    return masks_beside(image, masks, labels)


def masks_beside(
    image: np.ndarray, masks: Mapping[str, np.ndarray], labels: LabelSet
) -> np.ndarray:
    """Put masks next to their image, each with its title.

    Args:
        image: (H, W, 3) uint8 RGB.
        masks: Title -> (H, W) uint8 train ids; ignored pixels are black.
        labels: Names and colours.

    Returns:
        (h, w, 3) uint8 RGB: a line of titles above, a small gap after each picture.

    Raises:
        ValueError: If sizes or dtypes do not fit.

    Example:
    >>> image, mask = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    >>> labels = LabelSet("one", ("road",), ((9, 9, 9),))
    >>> masks_beside(image, {"float32": mask, "int8": mask}, labels).shape
    (48, 102, 3)
    """
    _check(image, "image", 3)
    pictures = {"image": image}
    pictures |= {title: colourise(m, labels.palette) for title, m in masks.items()}
    if len({picture.shape for picture in pictures.values()}) > 1:
        sizes = {title: picture.shape[:2] for title, picture in pictures.items()}
        raise ValueError(f"Image and masks differ in size: {sizes}.")
    row = int(np.clip(image.shape[0] // 16, 16, 44))
    titled = []
    for title, picture in pictures.items():
        picture = cv2.copyMakeBorder(
            picture, row, 0, 0, row // 8, cv2.BORDER_CONSTANT, value=[_BACKGROUND] * 3
        )
        _write(picture, title, row // 2, 0, row)
        titled.append(picture)
    return grid(titled, columns=len(titled))


def grid(pictures: Sequence[np.ndarray], columns: int = 1) -> np.ndarray:
    """Arrange pictures in rows; smaller ones are padded at the right and the bottom.

    Args:
        pictures: One or more (h, w, 3) uint8 RGB.
        columns: Pictures in a row.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: If there is no picture, or one is not (h, w, 3) uint8.

    Example:
    >>> grid([np.zeros((2, 3, 3), np.uint8)] * 3, columns=2).shape
    (4, 6, 3)
    """
    if not pictures or columns < 1:
        raise ValueError("A grid needs at least one picture and one column.")
    for picture in pictures:
        _check(picture, "picture", 3)
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    widths = [
        max(picture.shape[1] for picture in pictures[column::columns])
        for column in range(min(columns, len(pictures)))
    ]
    canvas = np.full((sum(heights), sum(widths), 3), _BACKGROUND, np.uint8)
    for place, picture in enumerate(pictures):
        line, column = divmod(place, columns)
        top, left = sum(heights[:line]), sum(widths[:column])
        canvas[top:, left:][: picture.shape[0], : picture.shape[1]] = picture
    return canvas


def _check(array: np.ndarray, name: str, *channels: int) -> None:
    """Raise if not (H, W, *channels) uint8."""
    if array.shape[2:] != channels or array.ndim < 2 or array.dtype != np.uint8:
        shape = ", ".join(["H", "W", *map(str, channels)])
        raise ValueError(
            f"The {name} must be ({shape}) uint8, not {array.dtype} {array.shape}."
        )


def _legend_row(size: tuple[int, int]) -> int:
    """Return the height of a legend's lines in pixels."""
    return int(np.clip(min(size) // 20, 16, 44))


def _legend_is_right(size: tuple[int, int], labels: LabelSet) -> bool:
    """Tell whether one column of all names fits into the height of a mask."""
    return (labels.num_classes + 1) * _legend_row(size) <= size[0]


def _font(row: int) -> tuple[float, int]:
    """Return OpenCV's font scale and line thickness for a line of `row` pixels."""
    # Capitals of this font are 21 pixels high at scale 1.
    return 0.5 * row / 21, max(1, round(row / 20))


def _text_width(text: str, row: int) -> int:
    """Return the width in pixels of a text in a line of `row` pixels."""
    return cv2.getTextSize(text, _FONT, *_font(row))[0][0]


def _write(picture: np.ndarray, text: str, x: int, y: int, row: int) -> None:
    """Write a text into the line of `row` pixels whose top left corner is (x, y)."""
    scale, thickness = _font(row)
    base = y + row - row // 4
    cv2.putText(picture, text, (x, base), _FONT, scale, _INK, thickness, cv2.LINE_AA)
