"""What a camera does to a synthetic scene: lens, exposure, sensor, compression."""

import cv2
import numpy as np


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return an image as a camera would have taken it.

    Args:
        rng: Source of randomness.
        image: (h, w, 3) uint8 RGB.

    Returns:
        (h, w, 3) uint8 RGB, no pixel moved.

    Example:
    >>> scene = np.full((64, 128, 3), 120, np.uint8)
    >>> photo = photograph(np.random.default_rng(0), scene)
    >>> photo.shape, photo.dtype
    ((64, 128, 3), dtype('uint8'))
    """
    if rng.random() < 0.6:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9))
    image = cv2.LUT(image, _tone_curve(rng, float(np.mean(cv2.mean(image)[:3]))))
    height, width = image.shape[:2]
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) ** 2 for side in (height, width))
    vignette = (255 - float(rng.uniform(0, 50)) * (y[:, None] + x)).astype(np.uint8)
    image = cv2.multiply(image, cv2.merge([vignette] * 3), scale=1 / 255)
    strength = rng.uniform(0.015, 0.065)
    noise = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    image = cv2.addWeighted(image, 1, noise, strength, -127.5 * strength)
    if rng.random() < 0.35:
        quality = int(rng.integers(55, 95))
        _, data = cv2.imencode(
            ".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        image = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    return image


def _tone_curve(rng: np.random.Generator, mean: float) -> np.ndarray:
    """Draw exposure, contrast and white balance: (1, 256, 3) uint8."""
    exposure = np.clip(rng.uniform(80, 130) / max(mean, 1.0), 0.8, 1.7)
    level = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.8, 1.2)
    gain = exposure * rng.uniform(0.93, 1.07, 3)
    black = rng.uniform(-8, 14)
    return np.clip(black + gain * level * (250 - black), 0, 255).astype(np.uint8)[None]
