"""Peak memory of a 1024x2048 image to its mask, before and after the export passes.

python results/memory.py WORK_FOLDER

VAN-small, FRM, bilinear FPN, 19 classes. "plain" is Keras' own export of the network,
which puts out logits at the input's size. Each file runs in a process of its own;
Python and all libraries are counted. Writes results/memory.csv.
"""

import csv
import sys
from pathlib import Path

import keras
from latency import network

from keras_frm import export_tflite
from keras_frm.deploy.sample_images import scenes
from keras_frm.evaluation.machine import machine_name
from keras_frm.evaluation.peak_memory import peak_memory

SIZE = (1024, 2048)
OURS = (("float32", 1), ("float32", 4), ("int8", 1), ("int8", 4))


def main():
    """Export, measure, write the table."""
    folder = Path(sys.argv[1])
    model = network()
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
    with Path(__file__).with_name("memory.csv").open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["file", "input", "peak_memory_mb", "file_mb", "machine"])
        for name, file in files.items():
            memory = round(peak_memory(file, SIZE) / 1e6, 1)
            row = [name, "1024x2048", memory, round(file.stat().st_size / 1e6, 1)]
            print(row, flush=True)
            writer.writerow([*row, machine_name()])


if __name__ == "__main__":
    main()
