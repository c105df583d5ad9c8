"""From one image to class scores: whole, by sliding window, at several scales."""

from collections.abc import Callable

import cv2
import numpy as np

from keras_frm.images import resize_image, resize_mask, resize_scores

# A batch of images (B, H, W, 3) -> scores (B, H, W, C) at the same size.
Predict = Callable[[np.ndarray], np.ndarray]
# One image (H, W, 3) -> scores (H, W, C).
Score = Callable[[np.ndarray], np.ndarray]


def whole_image(image: np.ndarray, predict: Predict) -> np.ndarray:
    """Score an image in one piece.

    Args:
        image: (H, W, 3) RGB in [0, 255], uint8 or float32.
        predict: Maps (1, H, W, 3), dtype of `image`, to (1, H, W, C) scores.

    Returns:
        (H, W, C) float32.

    Raises:
        ValueError: If `predict` returns another size.

    Example:
    >>> image = np.zeros((4, 6, 3), np.uint8)
    >>> whole_image(image, lambda images: images[..., :2]).shape
    (4, 6, 2)
    """
    scores = np.asarray(predict(image[None]))  # (1, H, W, C)
    if scores.ndim != 4 or scores.shape[:3] != (1, *image.shape[:2]):
        raise ValueError(
            f"The model returned shape {scores.shape} for an image of shape "
            f"{image.shape}; it must return logits (1, H, W, C) at the image's size."
        )
    return scores[0].astype(np.float32, copy=False)


def sliding_window(
    image: np.ndarray,
    predict: Predict,
    window: tuple[int, int],
    stride: tuple[int, int] | None = None,
) -> np.ndarray:
    """Score an image window by window; scores are averaged where windows overlap.

    The test of PSPNet and of MMSegmentation's "slide" mode: the last window of a row
    or column is moved back to end at the border. An image smaller than the window is
    padded with its border pixels, so `predict` always sees the window's size and may
    be a model of a fixed size. One window is in memory at a time.

    Args:
        image: (H, W, 3) RGB in [0, 255], uint8 or float32.
        predict: Maps (1, h, w, 3), dtype of `image`, to (1, h, w, C) scores.
        window: Height and width (h, w) of the window, in pixels.
        stride: Steps (down, right) in pixels, at most the window's; None is two
            thirds of the window.

    Returns:
        (H, W, C) float32.

    Raises:
        ValueError: If window or stride do not fit, or `predict` returns another size.

    Example:
    >>> image = np.arange(5 * 9 * 3, dtype=np.uint8).reshape(5, 9, 3)
    >>> scores = sliding_window(image, lambda images: images, (4, 4), (2, 3))
    >>> bool((scores == image).all())
    True
    """
    if stride is None:
        stride = tuple(max(1, size * 2 // 3) for size in window)
    if not all(1 <= s <= w for s, w in zip(stride, window, strict=True)):
        raise ValueError(
            f"A stride of {tuple(stride)} does not fit a window of {tuple(window)}: "
            "each must be at least 1 and the stride at most the window."
        )
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(
        image,
        top=0,
        bottom=max(0, window[0] - height),
        left=0,
        right=max(0, window[1] - width),
        borderType=cv2.BORDER_REPLICATE,
    )
    total = None
    visits = np.zeros((*padded.shape[:2], 1), np.float32)
    for top in _starts(padded.shape[0], window[0], stride[0]):
        for left in _starts(padded.shape[1], window[1], stride[1]):
            area = np.s_[top : top + window[0], left : left + window[1]]
            scores = whole_image(padded[area], predict)  # (h, w, C)
            if total is None:
                total = np.zeros((*padded.shape[:2], scores.shape[-1]), np.float32)
            total[area] += scores
            visits[area] += 1
    total /= visits
    return total[:height, :width]  # (H, W, C)


def multi_scale(
    image: np.ndarray,
    score: Score,
    scales: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
    flip: bool = True,
) -> np.ndarray:
    """Average the class probabilities of an image at several scales, and mirrored.

    Image and scores are resized bilinearly, the scores before the softmax, as in
    MMSegmentation's test-time augmentation; elsewhere in this package an image that
    shrinks is averaged over areas. Memory: one sum of probabilities and one scale's
    scores.

    Args:
        image: (H, W, 3) RGB in [0, 255], uint8 or float32.
        score: Maps an image (h, w, 3) of any size to scores (h, w, C):
            `whole_image` or `sliding_window` with its other arguments bound.
        scales: Factors for height and width.
        flip: Whether the mirror image is scored as well.

    Returns:
        (H, W, C) float32 probabilities.

    Raises:
        ValueError: If a scale is not positive or there is none.

    Example:
    >>> image = np.zeros((4, 6, 3), np.uint8)
    >>> multi_scale(image, lambda image: image[..., :2] * 1.0).mean().item()
    0.5
    """
    if not scales or not all(0 < scale < float("inf") for scale in scales):
        raise ValueError(
            f"scales must be one or more positive numbers, not {tuple(scales)}."
        )
    size = image.shape[:2]
    total = 0
    for scale in scales:
        scaled_size = tuple(max(1, round(side * scale)) for side in size)
        scaled = resize_scores(image, scaled_size)
        total = total + _softmax(resize_scores(score(scaled), size))
        if flip:
            # A copy: a negative stride is not accepted everywhere.
            mirrored = np.ascontiguousarray(scaled[:, ::-1])
            scores = _softmax(resize_scores(score(mirrored), size))
            total += scores[:, ::-1]
    return total / (len(scales) * (1 + flip))


def segment_resized(
    image: np.ndarray, predict: Predict, size: tuple[int, int]
) -> np.ndarray:
    """Segment an image by a network that sees one size, as `Segmenter` does.

    Args:
        image: (H, W, 3) uint8 RGB.
        predict: Maps (1, h, w, 3) uint8 to scores (1, h', w', C) or a mask (1, h', w')
            at any stride.
        size: Height and width (h, w) that it sees.

    Returns:
        (H, W) uint8 class ids: of the scores, resized bilinearly, or of the nearest
        pixel of the mask.

    Example:
    >>> image = np.zeros((4, 6, 3), np.uint8)
    >>> segment_resized(image, lambda images: images[:, ::8, ::8], (16, 24)).shape
    (4, 6)
    """
    result = np.asarray(predict(resize_image(image, size)[None]))[0]
    if result.ndim == 2:
        return resize_mask(result.astype(np.uint8), image.shape[:2])
    scores = resize_scores(result, image.shape[:2])  # (H, W, C)
    return scores.argmax(axis=-1).astype(np.uint8)


def _starts(length: int, window: int, stride: int) -> list[int]:
    """List where windows begin, so that all is covered and the last one is flush."""
    last = length - window
    return [*range(0, last, stride), last]


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Turn scores into probabilities along the last axis, float32."""
    highest = scores.max(axis=-1, keepdims=True)
    scores = np.subtract(scores, highest, dtype=np.float32)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores
