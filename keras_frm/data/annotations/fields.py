"""Values of annotation files that nobody vouches for: checked, or a ValueError."""

import base64
import binascii
import itertools

import cv2
import numpy as np

from keras_frm.images.header import read_header
from keras_frm.images.reading import MAX_PIXELS

# No image is as large; what is computed from them stays far from overflow.
_FARTHEST = 1e8
_LONGEST_TEXT = 1000  # characters of a name, or of a path in few folders
_SHOWN = 40


def number(value: object, what: str) -> float:
    """Return a number of a file; a text that says one is none."""
    if type(value) not in (int, float):
        raise ValueError(f"{what} is {shown(value)}, which is no number")
    if not abs(value) <= _FARTHEST:  # NaN is no less than anything
        raise ValueError(f"{what} is {shown(value)}, which is no place in an image")
    return float(value)


def whole_number(value: object, what: str) -> int:
    """Return a whole number of a file, which some tools write as 640.0."""
    if number(value, what) % 1:
        raise ValueError(f"{what} is {shown(value)}, which is no whole number")
    return int(value)


def written_number(text: str | None, what: str) -> float:
    """Return the number that an attribute says."""
    try:
        return number(float(text), what)
    except (TypeError, ValueError):
        raise ValueError(f"{what} is {shown(text)}, which is no number") from None


def text_of(value: object, what: str) -> str:
    """Return a text that a line can show and a file can hold."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is {shown(value)}, which is no text")
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"{what} is {shown(value)}, of {len(value)} characters")
    if not value.isprintable():
        raise ValueError(f"{what} is {shown(value)}, which cannot be printed")
    return value


def field(mapping: object, name: str, kind: type) -> object:
    """Return an entry of an object, which must be a list, an object or a text."""
    if not isinstance(mapping, dict):
        raise ValueError(f"where an object belongs it has {shown(mapping)}")
    value = mapping.get(name)
    if not isinstance(value, kind):
        kinds = {list: "list", dict: "object", str: "text"}
        raise ValueError(f"'{name}' is {shown(value)}, which is no {kinds[kind]}")
    return value


def points_of(values: object, what: str) -> np.ndarray:
    """Return points, [[x, y], ...] or [x, y, x, y, ...], as (n, 2) float64."""
    if isinstance(values, list) and set(map(type, values)) == {list}:
        if set(map(len, values)) != {2}:
            raise ValueError(f"{what} are not pairs of x and y")
        values = [*itertools.chain.from_iterable(values)]
    array = _numbers(values, what, np.float64)
    if len(array) % 2:
        raise ValueError(f"{what} are not pairs of x and y")
    if not (np.abs(array) <= _FARTHEST).all():  # NaN is no less than anything
        raise ValueError(f"{what} hold a number that is no place in an image")
    return array.reshape(-1, 2)


def counts_of(values: object, what: str) -> np.ndarray:
    """Return lengths of runs: (n,) int64."""
    return _numbers(values, what, np.int64)


def filled_window(
    counts: np.ndarray, window: tuple[int, int, int, int], what: str
) -> None:
    """Check that runs fill their window, and that it is none that fills the memory."""
    _, _, height, width = window
    checked_size(height, width)
    # Each one is bounded first: a sum of large ones may overflow.
    if (counts < 0).any() or (counts > height * width).any():
        raise ValueError(f"{what} hold a length that does not fit {width}x{height}")
    if counts.sum() != height * width:
        raise ValueError(f"{what} are of {counts.sum()} pixels, not {width}x{height}")


def checked_size(height: int, width: int) -> tuple[int, int]:
    """Return a size, which must be that of an image that can be read."""
    if height < 1 or width < 1:
        raise ValueError(f"its size is {width}x{height}")
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"its {shown(width)}x{shown(height)} pixels are over the limit of "
            f"{MAX_PIXELS // 10**6} million"
        )
    return height, width


def bitmap_of(text: str, size: tuple[int, int]) -> np.ndarray:
    """Return a bitmap that is a PNG file in base64, (H, W) bool.

    Args:
        text: The file.
        size: Height and width it must have, pixels.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its 'mask' is not base64") from None
    header = read_header(data)
    if header is None or header.kind != "PNG":
        raise ValueError("its 'mask' is no PNG file")
    if (header.height, header.width) != checked_size(*size):
        raise ValueError(
            f"its 'mask' is {header.width}x{header.height} and its points say "
            f"{size[1]}x{size[0]}"
        )
    try:
        bitmap = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        bitmap = None
    if bitmap is None:
        raise ValueError("its 'mask' is a damaged PNG file")
    return bitmap > 0


def shown(value: object) -> str:
    """Return a value as an error shows it: short, in one line."""
    if value is None:
        return "missing"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and abs(value) > 10**15:
        return "a huge number"
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _numbers(values: object, what: str, dtype: type) -> np.ndarray:
    """Return a list of numbers as an array; their types are looked at, not converted.

    NumPy would make numbers of texts, and texts as long as the longest of all.
    """
    kinds = {int, float} if dtype is np.float64 else {int}
    if not isinstance(values, list):
        raise ValueError(f"{what} are {shown(values)}, which is no list")
    if not kinds.issuperset(map(type, values)):
        strange = next(value for value in values if type(value) not in kinds)
        raise ValueError(f"{what} hold {shown(strange)}, which is no number")
    try:
        return np.array(values, dtype)
    except OverflowError:
        raise ValueError(f"{what} hold a huge number") from None
