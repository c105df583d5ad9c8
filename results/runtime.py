"""Start-up, memory and masks of the runtime in other Python environments.

    python results/runtime.py model.tflite street.png new=/venv/bin/python ...

Each environment needs keras_frm without extras and one of the interpreters. Writes
runtime.csv beside this file; `masks_equal` compares with the first environment.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

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


def main():
    model, image = (Path(path).resolve() for path in sys.argv[1:3])
    rows, masks = [], []
    with tempfile.TemporaryDirectory() as folder:
        for argument in sys.argv[3:]:
            name, _, python = argument.partition("=")
            row, mask = measure(name, python, model, image, Path(folder))
            masks.append(mask)
            size = round(model.stat().st_size / 2**20, 1)
            rows.append({**row, "model_mb": size, "masks_equal": mask == masks[0]})
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
