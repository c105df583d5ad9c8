"""Start-up, memory and masks of the runtime in other Python environments.

    python results/runtime.py model.tflite street.png new=/venv/bin/python ... \
        [--out FILE]

Each environment needs keras_frm without extras and one of the interpreters. Writes
runtime.csv beside this file; `masks_equal` compares with the first environment.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from table import write_table

RUN = """
import json, resource, sys, time
start = time.perf_counter()
import cv2, numpy
import keras_frm
model, image, mask = sys.argv[1:]
segmenter = keras_frm.Segmenter(model)
loaded = time.perf_counter() - start
found = segmenter(cv2.imread(image), order="BGR")
first = time.perf_counter() - start
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
numpy.save(mask, found)
print(json.dumps({
    "python": sys.version.split()[0],
    "numpy": numpy.__version__,
    "opencv": cv2.__version__,
    "runtime": segmenter.runtime,
    "seconds_to_loaded": round(loaded, 3),
    "seconds_to_first_mask": round(first, 3),
    "max_rss_mb": round(rss, 1),
    "frameworks_loaded": " ".join({"keras", "tensorflow"} & set(sys.modules)) or "none",
}))
"""
REPEATS = 3  # the fastest counts: the others met a cold disk or a busy machine


def measure(name, python, model, image, folder):
    mask = folder / f"{name}.npy"
    command = [python, "-c", RUN, model, image, mask]
    rows = []
    for _ in range(REPEATS):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True
        )
        rows.append(json.loads(done.stdout))
    best = min(rows, key=lambda row: row["seconds_to_first_mask"])
    return {"environment": name, **best}, mask.read_bytes()


def compare(model, image, environments):
    """Yield the row of each environment."""
    size, masks = round(model.stat().st_size / 2**20, 1), []
    with tempfile.TemporaryDirectory() as folder:
        for text in environments:
            name, _, python = text.partition("=")
            row, mask = measure(name, python, model, image, Path(folder))
            masks.append(mask)
            yield {**row, "model_mb": size, "masks_equal": mask == masks[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("environments", nargs="+", metavar="name=PYTHON")
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    model, image = arguments.model.resolve(), arguments.image.resolve()
    write_table(compare(model, image, arguments.environments), arguments.out)


if __name__ == "__main__":
    main()
