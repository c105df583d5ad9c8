"""The canvas of the synthetic street scenes: colour and label drawn in one stroke."""

import cv2
import numpy as np

from keras_frm.labels import CITYSCAPES

TRAIN_ID = {name: train_id for train_id, name in enumerate(CITYSCAPES.classes)}
SUPERSAMPLING = 2
_SHIFT = 4  # Fixed-point bits that OpenCV keeps of a coordinate.
_FAR_OUTSIDE = 16000.0  # Pixels; keeps fixed-point coordinates inside 32 bits.


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Turn pixel coordinates into OpenCV's fixed-point integers."""
    # Twice as fast as np.clip and np.rint on a few points, which is most of the work.
    clipped = np.minimum(np.maximum(points, -_FAR_OUTSIDE), _FAR_OUTSIDE)
    return np.floor(clipped * (1 << _SHIFT) + 0.5).astype(np.int32)


class Canvas:
    """A supersampled picture whose fourth channel is the train id.

    Every stroke writes colour and label with the same rasterisation, so the two cannot
    come apart.

    Args:
        size: Height and width of the finished picture, pixels.

    Example:
    >>> canvas = Canvas((64, 128))
    >>> canvas.fill(np.array([[0, 0], [90, 0], [90, 90]]), (200, 10, 10), 13)
    >>> image, label = canvas.resolve()
    >>> image.shape, label.shape, int(label[5, 20]), int(image[5, 20, 0])
    ((64, 128, 3), (64, 128), 13, 200)
    """

    def __init__(self, size: tuple[int, int]):
        self.height, self.width = (SUPERSAMPLING * side for side in size)
        self.pixels = np.zeros((self.height, self.width, 4), np.uint8)

    def fill(self, points: np.ndarray, rgb, label: int) -> None:
        """Fill a polygon, (k, 2) pixels, or several that do not overlap, (n, k, 2)."""
        fixed = fixed_point(points)
        self.fill_fixed(list(fixed) if fixed.ndim == 3 else [fixed], rgb, label)

    def fill_fixed(self, polygons: list[np.ndarray], rgb, label: int) -> None:
        """Fill polygons whose corners `fixed_point` has already converted."""
        cv2.fillPoly(self.pixels, polygons, (*map(float, rgb), label), 8, _SHIFT)

    def stroke(self, points: np.ndarray, rgb, label: int, width: float) -> None:
        """Draw an open line, (k, 2) pixels, or several, (n, k, 2), with round ends."""
        fixed = fixed_point(points)
        lines = list(fixed) if fixed.ndim == 3 else [fixed]
        colour = (*map(float, rgb), label)
        thickness = min(max(round(width), 1), 1000)
        cv2.polylines(self.pixels, lines, False, colour, thickness, 8, _SHIFT)

    def disc(self, centre: np.ndarray, radius: float, rgb, label: int) -> None:
        """Fill a circle with its centre, (2,), and radius in pixels."""
        x, y = fixed_point(centre).tolist()
        fixed_radius = int(min(radius, _FAR_OUTSIDE) * (1 << _SHIFT))
        colour = (*map(float, rgb), label)
        cv2.circle(self.pixels, (x, y), fixed_radius, colour, -1, 8, _SHIFT)

    def fill_label(self, points: np.ndarray, label: int) -> None:
        """Give the inside of a polygon, (k, 2), a label and leave its colours."""
        left, top, right, bottom = self._bounds(points)
        if left >= right or top >= bottom:
            return
        inside = self._mask(points, (left, top, right, bottom))
        self.pixels[top:bottom, left:right, 3][inside > 0] = label

    def warp(
        self, texture: np.ndarray, quad: np.ndarray, label: int, label_holes=True
    ) -> None:
        """Lay a texture on a quadrilateral.

        Args:
            texture: (h, w, 4) uint8, RGB and opacity.
            quad: (4, 2) pixels: where the top left, top right, bottom right and bottom
                left corners go.
            label: Train id.
            label_holes: Whether what is not opaque gets the label, too.
        """
        left, top, right, bottom = box = self._bounds(quad)
        if left >= right or top >= bottom:
            return
        rows, columns = texture.shape[:2]
        corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]]) - 0.5
        matrix = cv2.getPerspectiveTransform(
            corners.astype(np.float32), (quad - (left, top)).astype(np.float32)
        )
        # Linear interpolation takes four times as long; supersampling smooths, too.
        warped = cv2.warpPerspective(
            texture,
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REPLICATE,
        )
        inside = self._mask(quad, box)
        solid = inside
        if texture[..., 3].min() < 255:
            solid = cv2.min(inside, cv2.extractChannel(warped, 3))
            solid = cv2.compare(solid, 127, cv2.CMP_GT)
        self._put(warped, solid, inside if label_holes else solid, box, label)

    def stamp(self, sprite: np.ndarray, box: np.ndarray, label: int) -> None:
        """Scale a sprite, (h, w, 4) uint8, into a box of left, top, right, bottom.

        Only what is opaque gets the label.
        """
        left, top, right, bottom = box
        scale = np.array([right - left, bottom - top]) / sprite.shape[1::-1]
        matrix = np.array([[scale[0], 0, 0], [0, scale[1], 0]])
        x0, y0, x1, y1 = clipped = self._bounds(
            np.array([[left, top], [right, bottom]])
        )
        if x0 >= x1 or y0 >= y1:
            return
        matrix[:, 2] = left - x0, top - y0
        scaled = cv2.warpAffine(sprite, matrix, (x1 - x0, y1 - y0))
        solid = cv2.compare(cv2.extractChannel(scaled, 3), 127, cv2.CMP_GT)
        self._put(scaled, solid, solid, clipped, label)

    def resolve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, (h, w, 3) uint8, and the label, (h, w) uint8."""
        size = (self.width // SUPERSAMPLING, self.height // SUPERSAMPLING)
        image = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        ids = cv2.extractChannel(self.pixels, 3)
        label = ids[::2, ::2].copy()
        others = ids[::2, 1::2], ids[1::2, ::2], ids[1::2, 1::2]
        # The majority of the four: any single one would shift the label by a quarter
        # pixel against the image.
        mixed = (label != others[0]) | (label != others[1]) | (label != others[2])
        where = np.nonzero(mixed)
        a, (b, c, d) = label[where], (other[where] for other in others)
        rest = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
        label[where] = np.where((a == b) | (a == c) | (a == d), a, rest)
        return cv2.cvtColor(image, cv2.COLOR_RGBA2RGB), label

    def _bounds(self, points: np.ndarray) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom of the visible bounding box."""
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return (
            int(min(max(left, 0), self.width)),
            int(min(max(top, 0), self.height)),
            int(min(max(right + 2, 0), self.width)),
            int(min(max(bottom + 2, 0), self.height)),
        )

    @staticmethod
    def _mask(points: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
        """Rasterise a polygon inside a box: 255 inside, 0 outside."""
        left, top, right, bottom = box
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [fixed_point(points - (left, top))], 255, 8, _SHIFT)
        return mask

    def _put(self, patch, solid, labelled, box, label: int) -> None:
        """Copy the colours where solid and write the label where labelled."""
        left, top, right, bottom = box
        region = self.pixels[top:bottom, left:right]
        patch[..., 3] = label
        cv2.copyTo(patch, solid, region)
        if labelled is not solid:
            region[..., 3][labelled > 0] = label
