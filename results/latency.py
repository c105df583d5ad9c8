"""Latency and agreement of exported files beside a plain Keras export.

python results/latency.py WORK_FOLDER [--sizes 256x512 512x1024] [--runs 25]

VAN-small, FRM, bilinear FPN, 19 classes, logits at stride 4, random weights with
BatchNorm statistics that are not trivial. `int8_trained` is the file of what
`quantize_aware` makes of it, before any training. Files that are in the folder are
taken as they are. Writes results/latency.csv.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from table import write_table

from keras_frm import build_model, export_tflite, quantize_aware
from keras_frm.benchmark.machine import machine_name
from keras_frm.benchmark.peak_memory import peak_memory
from keras_frm.benchmark.timing import interleaved_times
from keras_frm.data.representative import scenes
from keras_frm.runtime.backends.litert import load_interpreter
from keras_frm.runtime.backends.tensors import read_output

THREADS = 2
PRECISIONS = {
    "float32": "float32",
    "int8": "int8",
    "int8_trained": "int8",
    "int8_full": "int8_full",
}


def network():
    """Return a network whose BatchNorms have statistics."""
    keras.utils.set_random_seed(0)
    model = build_model("cityscapes")
    random = np.random.default_rng(0)
    for weight in model.network.weights:
        spread = {"moving_variance": (0.5, 1.5), "gamma": (0.7, 1.3)}.get(weight.name)
        if spread and len(weight.shape) == 1:
            weight.assign(weight.numpy() * random.uniform(*spread, weight.shape))
    return model


def export_all(folder, size):
    """Export the plain file and ours; return name -> path and logits' deviation."""
    height, width = size
    files = {
        name: folder / f"{name}_{height}x{width}.tflite"
        for name in ("plain", *PRECISIONS)
    }
    if all(path.exists() for path in files.values()):
        return files
    model = network()
    plain = keras.Model(
        model.network.input, model.network.get_layer("classifier").output
    )
    signature = [keras.InputSpec(shape=(1, height, width, 3), dtype="float32")]
    plain.export(files["plain"], format="litert", input_signature=signature)
    for name, precision in PRECISIONS.items():
        source = model
        if name == "int8_trained":
            images = scenes(size, 8)
            source = quantize_aware(model, representative_data=images, input_shape=size)
        report = export_tflite(
            source,
            files[name],
            input_shape=size,
            precision=precision,
            representative_data=scenes(size, 8),
            output="logits",
            output_stride=4,
            min_agreement=0,
        )
        print(report, flush=True)
    return files


def measure(files, size, runs):
    """Return the rows of one size."""
    image = scenes(size, 1)[0][None]
    interpreters, logits = {}, {}
    for name, path in files.items():
        interpreter = load_interpreter(path.read_bytes(), THREADS)
        entry = interpreter.get_input_details()[0]
        interpreter.set_tensor(entry["index"], image.astype(entry["dtype"]))
        interpreter.invoke()
        out = read_output(interpreter, None)
        interpreters[name] = interpreter
        logits[name] = out.decode(interpreter.get_tensor(out.index))  # (h, w, C)
    calls = [interpreter.invoke for interpreter in interpreters.values()]
    times = interleaved_times(calls, runs)
    plain = logits["plain"]
    for position, name in enumerate(files):
        same = plain.argmax(-1) == logits[name].argmax(-1)
        difference = np.abs(logits[name] - plain).max() / np.abs(plain).max()
        yield {
            "size": f"{size[0]}x{size[1]}",
            "file": name,
            "ms_median": round(float(np.median(times[:, position])), 1),
            "ms_p90": round(float(np.quantile(times[:, position], 0.9)), 1),
            "ratio_median": round(
                float(np.median(times[:, position] / times[:, 0])), 3
            ),
            "runs": runs,
            "logits_difference": f"{difference:.1e}",
            "same_class": round(float(same.mean()), 6),
            "peak_memory_mb": round(peak_memory(files[name], size, THREADS) / 1e6, 1),
            "file_mb": round(files[name].stat().st_size / 1e6, 1),
            "machine": machine_name(),
        }


def main():
    """Export, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["256x512", "512x1024"])
    parser.add_argument("--runs", type=int, default=25)
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for text in arguments.sizes:
        size = tuple(int(side) for side in text.split("x"))
        rows += measure(export_all(arguments.folder, size), size, arguments.runs)
    write_table(rows, arguments.out)


if __name__ == "__main__":
    main()
