"""Damage model files and images, and use each: run by test_fuzz.py in a process.

    python tests/fuzz_files.py SEED FILES IMAGES MODEL... [--image IMAGE...]

Prints how often each error was raised; anything but a named error ends it, as does a
crash of the interpreter. The number of the last case stands in `fuzz_last`.
"""

import argparse
import collections
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_frm.runtime.segmenter import Segmenter

# Where the offsets, shapes and options are: files of weights are mostly weights.
_STRUCTURE = 2**16
NAMED = ("ModelFileError", "DataError")
_NUMBERS = (0, 1, 2, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1)


def flip_bits(content, random, whole):
    damaged = bytearray(content)
    for _ in range(random.integers(1, 9)):
        damaged[_place(content, random)] ^= 1 << random.integers(8)
    return bytes(damaged)


def truncate(content, random, whole):
    return content[: random.integers(len(content))]


def zero_range(content, random, whole):
    damaged, start = bytearray(content), _place(content, random)
    end = min(len(content), start + int(random.integers(1, 65)))
    damaged[start:end] = bytes(end - start)
    return bytes(damaged)


def random_bytes(content, random, whole):
    damaged, start = bytearray(content), _place(content, random)
    end = min(len(content), start + int(random.integers(1, 17)))
    damaged[start:end] = random.bytes(end - start)
    return bytes(damaged)


def set_number(content, random, whole):
    """Write a number that programs do not expect, where one may stand."""
    damaged, start = bytearray(content), _place(content, random) // 4 * 4
    number = int(random.choice(_NUMBERS))
    damaged[start : start + 4] = number.to_bytes(4, "little")
    return bytes(damaged)[: len(content)]


def nudge(content, random, whole):
    """Add or take away a little."""
    damaged, start = bytearray(content), _place(content, random)
    damaged[start] = (damaged[start] + int(random.integers(-8, 9))) % 256
    return bytes(damaged)


def swap(content, random, whole):
    """Another kind of file under this name."""
    head = (b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"PK\x05\x06", b"\xff\xd8\xff")
    return head[random.integers(len(head))] + content[: random.integers(len(content))]


def splice(content, random, whole):
    """The front of one file and the end of another."""
    other = whole[random.integers(len(whole))]
    return content[: random.integers(len(content))] + other[_place(other, random) :]


DAMAGES = (
    flip_bits,
    nudge,
    set_number,
    zero_range,
    random_bytes,
    truncate,
    swap,
    splice,
)


def _place(content, random) -> int:
    """Choose a byte, mostly outside of large weights."""
    if len(content) <= 2 * _STRUCTURE or random.random() < 0.05:
        return int(random.integers(len(content)))
    place = int(random.integers(2 * _STRUCTURE))
    return place if place < _STRUCTURE else len(content) - 2 * _STRUCTURE + place


def fuzz(seed, folder, count, files, use) -> collections.Counter:
    """Use damaged copies of files."""
    outcomes = collections.Counter()
    whole = [path.read_bytes() for path in files]
    for case in range(count):
        random = np.random.default_rng([seed, case])
        which = random.integers(len(files))
        damage = DAMAGES[random.integers(len(DAMAGES))]
        copy = folder / f"damaged{files[which].suffix}"
        copy.write_bytes(damage(whole[which], random, whole))
        (folder / "fuzz_last").write_text(f"{seed} {case} {damage.__name__}\n")
        try:
            use(copy)
        except ValueError as error:
            if type(error).__name__ not in NAMED or "\n" in str(error):
                raise
            outcomes[type(error).__name__] += 1
        else:
            outcomes["none"] += 1
    return outcomes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("seed", type=int)
    parser.add_argument("files", type=int)
    parser.add_argument("images", type=int)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--image", type=Path, nargs="*", default=[])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)

    def segment(path):
        mask = Segmenter(path, num_threads=2)(image)
        assert mask.shape == image.shape[:2]
        assert mask.dtype == np.uint8

    run = options.seed, folder
    print("files", dict(fuzz(*run, options.files, options.models, segment)))
    if options.image:
        # Devices have no Pillow, which this needs.
        from keras_frm.images.reading import read_image

        whole = Segmenter(options.models[0])

        def read_and_segment(path):
            picture = read_image(path)
            assert whole(picture).shape == picture.shape[:2]

        found = fuzz(*run, options.images, options.image, read_and_segment)
        print("images", dict(found))


if __name__ == "__main__":
    sys.exit(main())
