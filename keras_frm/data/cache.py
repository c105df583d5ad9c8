"""Decoded examples on disk, to decode each file once and not in every epoch."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_frm import __version__
from keras_frm.data.listing import Pair
from keras_frm.files import replacing

Example = tuple[np.ndarray, np.ndarray]


class ExampleCache:
    """A folder of decoded images and labels, uncompressed.

    An example takes four bytes a pixel: 8.4 MB at 2048x1024, 25 GB for the 2975 of
    Cityscapes' training split, 0.25 GB for CamVid's 367. It pays where they stay in
    memory as the system's file cache, or where the disk reads that much faster than
    the processor decodes.

    Files are written whole or not at all, so threads, processes and machines may
    share a folder. An example is decoded anew where its files have another time or
    size than when they were cached, and where the cached file is damaged. Other
    settings, as another resize, are cached beside. Once the folder cannot be written,
    as on a full disk, a warning says so and the rest is decoded in every epoch.

    Args:
        folder: Where to keep them; made if missing. Removing it does no harm.
        settings: All that changes what decoding gives, as text.

    Raises:
        ValueError: There cannot be such a folder.

    Example:
    >>> import tempfile
    >>> pair = Pair(Path(__file__), Path(__file__))
    >>> example = np.ones((1, 2, 3), np.uint8), np.ones((1, 2), np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = ExampleCache(folder, "as they are")
    ...     _ = cache.read(pair, lambda: example)
    ...     cache.read(pair, lambda: 1 / 0)[1]
    array([[1, 1]], dtype=uint8)
    """

    def __init__(self, folder: str | Path, settings: str):
        self.folder = Path(folder).expanduser()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cache='{folder}' is no folder that can be made: {error.strerror}."
            ) from error
        self.settings = f"{__version__} {settings}"
        self.writable = True

    def read(self, pair: Pair, decode: Callable[[], Example]) -> Example:
        """Return a pair's example: as cached, or decoded and cached then.

        Args:
            pair: The files.
            decode: Gives (H, W, 3) uint8 and (H, W) uint8; its errors pass.
        """
        try:
            stamp = _stamp(pair)
        except OSError:
            return decode()  # says which file is missing
        path = self._path(pair)
        example = _load(path, stamp)
        if example is None:
            example = decode()
            self._save(path, stamp, example)
        return example

    def _path(self, pair: Pair) -> Path:
        source = (str(pair.image.absolute()), str(pair.label.absolute()))
        key = f"{source} {pair.train_ids} {self.settings}"
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"

    def _save(self, path: Path, stamp: list[int], example: Example):
        """Write an example, while there is room."""
        if not self.writable:
            return
        head = np.array(stamp + _summary(example), np.int64)
        try:
            with replacing(path) as unfinished, open(unfinished, "wb") as file:
                for array in (head, *example):
                    np.save(file, array)
        except OSError as error:
            self.writable = False
            warnings.warn(
                f"Cannot write to the cache '{self.folder}' "
                f"({error.strerror or error}): what it does not hold yet is decoded "
                "in every epoch.",
                UserWarning,
                stacklevel=2,
            )


def _stamp(pair: Pair) -> list[int]:
    """Return time and size of both files: what changes with their content."""
    states = (pair.image.stat(), pair.label.stat())
    return [number for s in states for number in (s.st_mtime_ns, s.st_size)]


def _load(path: Path, stamp: list[int]) -> Example | None:
    """Return a cached example, None where there is none that can be trusted."""
    # Read, not mapped: a mapped file that someone cuts ends the process.
    try:
        with open(path, "rb") as file:
            head = np.load(file).tolist()
            if head[: len(stamp)] != stamp:
                return None
            example = np.load(file), np.load(file)
        intact = head[len(stamp) :] == _summary(example)
    except Exception:  # damaged files raise almost anything in NumPy
        return None
    return example if intact else None


def _summary(example: Example) -> list[int]:
    """Return shapes and sums, by which a damaged file is known.

    A sum of 64 bit words finds what cut, zeroed and flipped bytes change, in a tenth
    of the time of a CRC.
    """
    numbers = []
    for array in example:
        if array.dtype != np.uint8:
            raise TypeError(f"Examples are uint8, not {array.dtype}.")
        whole = array.size // 8 * 8
        flat = np.ascontiguousarray(array).reshape(-1)
        words, rest = flat[:whole].view(np.int64), flat[whole:]
        numbers += [*array.shape, int(words.sum()), int(rest.sum())]
    return numbers
