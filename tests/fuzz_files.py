"""Damage model files and images, and use each: run by test_fuzz.py in a process.

    python tests/fuzz_files.py SEED FILES IMAGES MODEL... [--image IMAGE...]

The models are of one kind. Prints how often each error was raised; anything but a named
error ends it, as does a crash of the interpreter. The number of the last case stands in
`fuzz_last`.
"""

import argparse
import collections
import importlib
import sys
import tempfile
from pathlib import Path

import damaged_bytes
import numpy as np

from keras_frm.runtime import trial
from keras_frm.runtime.segmenter import Segmenter

NAMED = ("ModelFileError", "DataError")


def unsigned(damage, content, random, whole):
    return damage(content, random, whole)


def fuzz(seed, folder, count, files, use, damages, write) -> collections.Counter:
    """Use damaged copies of files."""
    outcomes = collections.Counter()
    whole = [path.read_bytes() for path in files]
    for case in range(count):
        random = np.random.default_rng([seed, case])
        which = random.integers(len(files))
        damage = damages[random.integers(len(damages))]
        copy = folder / f"damaged{files[which].suffix}"
        (folder / "fuzz_last").write_text(f"{seed} {case} {damage.__name__}\n")
        copy.write_bytes(write(damage, whole[which], random, whole))
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
    parser.add_argument("--time-limit", type=float, default=20)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)

    def segment(path):
        mask = Segmenter(path, num_threads=2)(image)
        assert mask.shape == image.shape[:2]
        assert mask.dtype == np.uint8

    run = options.seed, folder
    trial.TIME_LIMIT = options.time_limit
    kind = options.models[0].suffix.removeprefix(".")
    damaged = importlib.import_module(f"damaged_{kind}")
    how = options.models, segment, damaged.DAMAGES, damaged.signed
    print("files", dict(fuzz(*run, options.files, *how)))
    if options.image:
        # Devices have no Pillow, which this needs.
        from keras_frm.images.reading import read_image

        whole = Segmenter(options.models[0])

        def read_and_segment(path):
            picture = read_image(path)
            assert whole(picture).shape == picture.shape[:2]

        how = options.image, read_and_segment, damaged_bytes.DAMAGES, unsigned
        found = fuzz(*run, options.images, *how)
        print("images", dict(found))


if __name__ == "__main__":
    sys.exit(main())
