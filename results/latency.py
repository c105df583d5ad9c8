"""Latency and agreement of exported files beside a plain Keras export.

python results/latency.py WORK_FOLDER [--sizes 256x512 512x1024] [--runs 25]
    [--networks frm frm_lite0] [--files plain float32 int8] [--out FILE]

Registered networks (`frm` is VAN-small, FRM, bilinear FPN), 19 classes, logits at
stride 4, random weights with BatchNorm statistics that are not trivial; a number behind
a name is its decoder's width. `int8_trained` is the file of what `quantize_aware` makes
of it, before any training. Files that are in the folder are taken as they are. All are
timed in turn; ratios are to the first file, and to the network's own float32 file.
Writes results/latency.csv.
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


def built(text):
    """Return a network whose BatchNorms have statistics."""
    keras.utils.set_random_seed(0)
    name, _, width = text.partition(":")
    options = {"decoder_width": int(width)} if width else {}
    model = build_model("cityscapes", network=name, **options)
    random = np.random.default_rng(0)
    for weight in model.network.weights:
        spread = {"moving_variance": (0.5, 1.5), "gamma": (0.7, 1.3)}.get(weight.name)
        if spread and len(weight.shape) == 1:
            weight.assign(weight.numpy() * random.uniform(*spread, weight.shape))
    return model


def export_all(folder, size, network, kinds):
    """Export the plain file and ours; return kind -> path."""
    height, width = size
    stem = network.replace(":", "_")
    files = {k: folder / f"{stem}_{k}_{height}x{width}.tflite" for k in kinds}
    if all(path.exists() for path in files.values()):
        return files
    model = built(network)
    plain = keras.Model(
        model.network.input, model.network.get_layer("classifier").output
    )
    signature = [keras.InputSpec(shape=(1, height, width, 3), dtype="float32")]
    if "plain" in files:
        plain.export(files["plain"], format="litert", input_signature=signature)
    for name in kinds:
        if name == "plain":
            continue
        precision, source = PRECISIONS[name], model
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
    """Return the rows of one size; files are by network and kind."""
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
    columns = dict(zip(files, times.T, strict=True))
    first = next(iter(files))
    for (network, kind), path in files.items():
        own = columns[network, kind]
        float32 = columns.get((network, "float32"))
        reference = logits.get((network, "plain"), logits.get((network, "float32")))
        found = logits[network, kind]
        difference = np.abs(found - reference).max() / np.abs(reference).max()
        same = reference.argmax(-1) == found.argmax(-1)
        yield {
            "size": f"{size[0]}x{size[1]}",
            "network": network,
            "file": kind,
            "ms_median": round(float(np.median(own)), 1),
            "ms_p90": round(float(np.quantile(own, 0.9)), 1),
            "ratio_median": ratio(own, columns[first]),
            "ratio_to_own_float32": "" if float32 is None else ratio(own, float32),
            "runs": runs,
            "logits_difference": f"{difference:.1e}",
            "same_class": round(float(same.mean()), 6),
            "peak_memory_mb": round(peak_memory(path, size, THREADS) / 1e6, 1),
            "file_mb": round(path.stat().st_size / 1e6, 1),
            "machine": machine_name(),
        }


def ratio(times, others):
    return round(float(np.median(times / others)), 3)


def main():
    """Export, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["256x512", "512x1024"])
    parser.add_argument("--networks", nargs="+", default=["frm"])
    kinds = ["plain", *PRECISIONS]
    parser.add_argument("--files", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--runs", type=int, default=25)
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for text in arguments.sizes:
        size = tuple(int(side) for side in text.split("x"))
        files = {
            (network, kind): path
            for network in arguments.networks
            for kind, path in export_all(
                arguments.folder, size, network, arguments.files
            ).items()
        }
        if arguments.runs:
            rows += measure(files, size, arguments.runs)
    write_table(rows, arguments.out)


if __name__ == "__main__":
    main()
