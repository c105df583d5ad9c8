"""Peak memory of a 1024x2048 image to its mask, before and after the export passes.

python results/memory.py WORK_FOLDER [--out FILE]

VAN-small, FRM, bilinear FPN, 19 classes. "plain" is Keras' own export of the network,
which puts out logits at the input's size. Each file runs in a process of its own;
Python and all libraries are counted. Writes results/memory.csv.
"""

import argparse
from pathlib import Path

import keras
from latency import built
from table import write_table

from keras_frm import export_tflite
from keras_frm.benchmark.machine import machine_name
from keras_frm.benchmark.peak_memory import peak_memory
from keras_frm.data.representative import scenes

SIZE = (1024, 2048)
OURS = (("float32", 1), ("float32", 4), ("int8", 1), ("int8", 4))


def export_all(folder):
    """Export all that is not there; return name -> path."""
    model = built("frm")
    files = {"plain, logits": folder / "plain_1024x2048.tflite"}
    if not files["plain, logits"].exists():
        signature = [keras.InputSpec(shape=(1, *SIZE, 3), dtype="float32")]
        model.network.export(
            files["plain, logits"], format="litert", input_signature=signature
        )
    for precision, stride in OURS:
        file = folder / f"mask_{precision}_stride_{stride}.tflite"
        if not file.exists():
            export_tflite(
                model,
                file,
                input_shape=SIZE,
                precision=precision,
                representative_data=scenes(SIZE, 1),
                output_stride=stride,
                min_agreement=0,
            )
        files[f"{precision}, mask at stride {stride}"] = file
    return files


def measure(files):
    """Yield the row of each file."""
    for name, file in files.items():
        yield {
            "file": name,
            "input": "1024x2048",
            "peak_memory_mb": round(peak_memory(file, SIZE) / 1e6, 1),
            "file_mb": round(file.stat().st_size / 1e6, 1),
            "machine": machine_name(),
        }


def main():
    """Export, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    write_table(measure(export_all(arguments.folder)), arguments.out)


if __name__ == "__main__":
    main()
