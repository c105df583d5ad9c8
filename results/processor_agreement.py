"""The numbers of one int8 file on other processors, beside those of this one.

python results/processor_agreement.py RUN CAMVID_FOLDER NAME=COMMAND ... [--every 6]

RUN is a run of `keras-frm quantize`; its network is exported with logits at stride 4.
COMMAND starts a Python with NumPy and ai-edge-litert, on another machine or emulated:
`arm='qemu-aarch64-static -cpu cortex-a76 -L ROOT ROOT/usr/bin/python3.11'` (ROOT has
Debian's arm64 packages of Python, and a /proc/cpuinfo of that processor) or
`haswell='qemu-x86_64-static -cpu Haswell .venv/bin/python'`. One more row is this
processor without XNNPACK. Writes results/processor_agreement.csv.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from table import write_table

from keras_frm import export_tflite, load_dataset
from keras_frm.benchmark.machine import machine_name
from keras_frm.training.run_folder import load_trained

RUN = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
model, images, results, kernels = sys.argv[1:]
kernels = OpResolverType[kernels]
interpreter = Interpreter(model_path=model, experimental_op_resolver_type=kernels)
interpreter.allocate_tensors()
(taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
found = []
for image in np.load(images):
    interpreter.set_tensor(taken["index"], image[None])
    interpreter.invoke()
    found.append(interpreter.get_tensor(given["index"])[0])
np.save(results, np.stack(found))
"""
WITH, WITHOUT = "AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"


def logits_on(command, kernels, model, images, folder):
    """Return what a file gives on a processor: (B, h, w, C)."""
    results = folder / "logits.npy"
    arguments = [str(model), str(images), str(results), kernels]
    subprocess.run([*command, "-c", RUN, *arguments], check=True, capture_output=True)
    return np.load(results)


def row(name, logits, expected, step):
    """Compare the logits of a processor with those of this one."""
    apart = np.abs(logits - expected) / step  # (B, h, w, C)
    same = logits.argmax(-1) == expected.argmax(-1)
    return {
        "processor": name,
        "images": len(logits),
        "equal_images": int((apart == 0).all(axis=(1, 2, 3)).sum()),
        "equal": f"{np.mean(apart == 0):.6g}",
        "within_1_step": f"{np.mean(apart <= 1.01):.6g}",
        "largest_steps": f"{apart.max():.3g}",
        "same_class": f"{same.mean():.6g}",
    }


def compare(arguments, folder):
    """Yield the row of each processor."""
    network, labels = load_trained(arguments.run)
    size = network.input.shape[1:3]
    model, images = folder / "frm.tflite", folder / "images.npy"
    form = {"output": "logits", "output_stride": 4, "labels": labels}
    export_tflite(network, model, input_shape=size, precision="int8", **form)
    data = load_dataset("camvid", arguments.data, "test", batch_size=1, resize=size)
    chosen = [image[0] for image, _ in data.as_numpy_iterator()][:: arguments.every]
    np.save(images, np.stack(chosen).astype(np.uint8))
    here = [sys.executable]
    expected = logits_on(here, WITH, model, images, folder)
    numbers = np.unique(expected)
    step = np.diff(numbers).min()
    yield row(machine_name(), expected, expected, step)
    for text in arguments.processors:
        name, _, command = text.partition("=")
        found = logits_on(shlex.split(command), WITH, model, images, folder)
        yield row(name, found, expected, step)
    found = logits_on(here, WITHOUT, model, images, folder)
    yield row("here, without XNNPACK", found, expected, step)


def main():
    """Compare and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("processors", nargs="*", metavar="NAME=COMMAND")
    parser.add_argument("--every", type=int, default=6)
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_table(compare(arguments, Path(folder)), arguments.out)


if __name__ == "__main__":
    main()
