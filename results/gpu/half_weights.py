"""A network's weights in half precision, in files small enough to be carried back.

    python -m results.gpu.half_weights PRESET FOLDER NAME OUT.weights.h5

joins FOLDER/NAME_0.npz and so on into a file that `build_model(weights=)` takes.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

LARGEST = 15 * 10**6  # bytes


def write(network: keras.Model, folder: Path, name: str, largest=LARGEST) -> list[Path]:
    """Write FOLDER/NAME_0.npz and so on, and return their paths.

    Kernels are halved. What has one axis (biases, BatchNorms' moments, whose variances
    may be beyond float16) keeps its precision.
    """
    parts, size = [{}], 0
    for weight in network.weights:
        array = np.asarray(weight, "float16" if len(weight.shape) > 1 else "float32")
        if parts[-1] and size + array.nbytes > largest:
            parts.append({})
            size = 0
        parts[-1][weight.path] = array
        size += array.nbytes
    paths = [folder / f"{name}_{number}.npz" for number in range(len(parts))]
    for path, arrays in zip(paths, parts, strict=True):
        np.savez(path, **{path.replace("/", "|"): a for path, a in arrays.items()})
    return paths


def read(network: keras.Model, folder: Path, name: str) -> None:
    """Give a network the weights that `write` wrote of one like it."""
    arrays = {}
    for path in folder.glob(f"{name}_*.npz"):
        with np.load(path) as file:
            arrays |= {key.replace("|", "/"): file[key] for key in file.files}
    missing = [weight.path for weight in network.weights if weight.path not in arrays]
    if missing or len(arrays) != len(network.weights):
        raise ValueError(
            f"'{folder}/{name}_*.npz' hold {len(arrays)} weights of "
            f"{len(network.weights)}" + (f", not {missing[0]}." if missing else ".")
        )
    for weight in network.weights:
        weight.assign(arrays[weight.path].astype("float32"))


def main():
    """Join the parts."""
    import keras_frm

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", help="cityscapes or camvid")
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    network = keras_frm.build_model(given.preset).network
    read(network, given.folder, given.name)
    network.save_weights(given.out)


if __name__ == "__main__":
    main()
