"""Latency and agreement of exported files beside a plain Keras export.

python results/latency.py WORK_FOLDER [--sizes 256x512 512x1024] [--runs 25]
    [--networks frm frm_lite0] [--files plain float32 int8] [--out FILE]

Registered networks (`frm` is VAN-small, FRM, bilinear FPN), 19 classes, logits at
stride 4, random weights with BatchNorm statistics that are not trivial; an option may
follow a name, as in `frm:backbone=van_tiny`. `int8_trained` and `openvino_int8` are the
files of what `quantize_aware` makes of it, before any training. Files that are in the
folder are taken as they are. All are timed in turn; ratios are to the first file, and
to the network's own float32 file. Writes results/latency.csv.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from table import write_table

from keras_frm import build_model, export_onnx, export_tflite, quantize_aware
from keras_frm.benchmark.machine import machine_name
from keras_frm.benchmark.peak_memory import peak_memory
from keras_frm.benchmark.timing import interleaved_times
from keras_frm.data.representative import scenes
from keras_frm.runtime.backends.network import open_network

THREADS = 2


class Kind(NamedTuple):
    """A kind of file, and what runs it."""

    ending: str
    precision: str
    scheme: str | None = None
    provider: str | None = None

    def file_name(self, network: str, size: tuple[int, int]) -> str:
        name = network.replace(":", "_").replace("=", "_")
        parts = name, self.scheme or "export", self.precision
        return f"{'_'.join(parts)}_{size[0]}x{size[1]}.{self.ending}"


KINDS = {
    "plain": Kind("tflite", "float32", "plain"),
    "float32": Kind("tflite", "float32"),
    "int8": Kind("tflite", "int8"),
    "int8_trained": Kind("tflite", "int8", "litert"),
    "int8_full": Kind("tflite", "int8_full"),
    "onnx_float32": Kind("onnx", "float32"),
    "openvino_float32": Kind("onnx", "float32", provider="openvino"),
    "openvino_int8": Kind("onnx", "int8", "tensorrt", provider="openvino"),
}


def built(text):
    """Return a network whose BatchNorms have statistics."""
    keras.utils.set_random_seed(0)
    name, _, option = text.partition(":")
    key, _, value = option.partition("=")
    options = {key: int(value) if value.isdigit() else value} if option else {}
    model = build_model("cityscapes", network=name, **options)
    random = np.random.default_rng(0)
    for weight in model.network.weights:
        spread = {"moving_variance": (0.5, 1.5), "gamma": (0.7, 1.3)}.get(weight.name)
        if spread and len(weight.shape) == 1:
            weight.assign(weight.numpy() * random.uniform(*spread, weight.shape))
    return model


def export_all(folder, size, network, kinds, output="logits", stride=4):
    """Export all that is not there; return kind -> path."""
    files = {name: folder / KINDS[name].file_name(network, size) for name in kinds}
    if all(path.exists() for path in files.values()):
        return files
    model = built(network)
    for name, path in files.items():
        if not path.exists():
            export(model, KINDS[name], path, size, output, stride)
    return files


def export(model, kind, path, size, output, stride):
    """Write one file; a plain one has logits at the network's own stride."""
    if kind.scheme == "plain":
        logits = model.network.get_layer("classifier").output
        signature = [keras.InputSpec(shape=(1, *size, 3), dtype="float32")]
        keras.Model(model.network.input, logits).export(
            path, format="litert", input_signature=signature
        )
        return
    if kind.scheme:
        model = quantize_aware(
            model,
            representative_data=scenes(size, 8),
            input_shape=size,
            scheme=kind.scheme,
        )
    write = export_onnx if kind.ending == "onnx" else export_tflite
    report = write(
        model,
        path,
        input_shape=size,
        precision=kind.precision,
        representative_data=scenes(size, 8),
        output=output,
        output_stride=stride,
        min_agreement=0,
    )
    print(report, flush=True)


def compare(files, size, runs):
    """Yield the rows of one size, of files of logits; they are by network and kind."""
    image = scenes(size, 1)[0].astype(np.uint8)
    opened = open_all(files)
    logits = {name: network.run(image) for name, network in opened.items()}
    rows = measure(files, opened, size, runs)
    for (network, kind), row in zip(files, rows, strict=True):
        reference = logits.get((network, "plain"), logits.get((network, "float32")))
        found = logits[network, kind]
        difference = np.abs(found - reference).max() / np.abs(reference).max()
        same = reference.argmax(-1) == found.argmax(-1)
        yield row | {
            "logits_difference": f"{difference:.1e}",
            "same_class": round(float(same.mean()), 6),
        }


def open_all(files):
    """Return the files, opened."""
    return {
        (network, kind): open_network(
            path, THREADS, verify=False, provider=KINDS[kind].provider
        )
        for (network, kind), path in files.items()
    }


def measure(files, opened, size, runs):
    """Yield latency, memory and size of each file; all are timed in turn."""
    image = scenes(size, 1)[0].astype(np.uint8)
    for network in opened.values():
        network.run(image)
    times = interleaved_times([network.invoke for network in opened.values()], runs)
    columns = dict(zip(files, times.T, strict=True))
    first = next(iter(files))
    for (network, kind), path in files.items():
        own = columns[network, kind]
        float32 = columns.get((network, "float32"))
        memory = peak_memory(path, size, THREADS, KINDS[kind].provider)
        yield {
            "size": f"{size[0]}x{size[1]}",
            "network": network,
            "file": kind,
            "ms_median": round(float(np.median(own)), 1),
            "ms_p90": round(float(np.quantile(own, 0.9)), 1),
            "ratio_median": ratio(own, columns[first]),
            "ratio_to_own_float32": "" if float32 is None else ratio(own, float32),
            "runs": runs,
            "peak_memory_mb": round(memory / 1e6, 1),
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
    default = ["plain", "float32", "int8", "int8_trained", "int8_full"]
    parser.add_argument("--files", nargs="+", choices=KINDS, default=default)
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
            rows += compare(files, size, arguments.runs)
    write_table(rows, arguments.out)


if __name__ == "__main__":
    main()
