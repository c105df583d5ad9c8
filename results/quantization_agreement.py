"""The int8 file of a run of `keras-frm quantize` beside the graph that was trained.

python results/quantization_agreement.py RUN CAMVID_FOLDER [--every 6] [--out FILE]

Of every so many test images: the share of pixels with the same class, the share of
logits at the head's own resolution that are equal, and how far apart they are, in steps
of their range. Writes results/quantization/agreement.csv.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from table import write_table

from keras_frm import export_tflite, load_dataset
from keras_frm.graph.strides import at_stride
from keras_frm.runtime.backends.network import open_network
from keras_frm.training.run_folder import load_trained

STRIDE = 4  # of the head


def exported(network, labels, size, **output):
    """Return a function from an image to what the network's int8 file gives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frm.tflite"
        export_tflite(
            network, path, input_shape=size, precision="int8", labels=labels, **output
        )
        return open_network(path, 2).run


def main():
    """Compare, write the table, print the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=6)
    default = Path(__file__).with_name("quantization") / "agreement.csv"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    network, labels = load_trained(arguments.run)
    size = network.input.shape[1:3]
    head = at_stride(network, STRIDE).output
    step = float(head._keras_history.operation.scale())
    mask_of = exported(network, labels, size)
    logits_of = exported(network, labels, size, output="logits", output_stride=STRIDE)
    graph = tf.function(keras.Model(network.input, [network.output, head]))
    images = load_dataset(
        *("camvid", arguments.data, "test"), batch_size=1, resize=size
    ).enumerate()
    rows = []
    for index, (image, _) in images.as_numpy_iterator():
        if index % arguments.every:
            continue
        whole, small = (y[0].numpy() for y in graph(tf.cast(image, tf.float32)))
        apart = np.abs(logits_of(image[0]) - small) / step  # (h, w, C)
        rows.append(
            {
                "image": index,
                "same_class": np.mean(mask_of(image[0]) == whole.argmax(-1)),
                "equal": np.mean(apart == 0),
                "within_1_step": np.mean(apart <= 1.01),
                "within_2_steps": np.mean(apart <= 2.01),
                "rms_steps": np.sqrt(np.mean(np.square(apart))),
            }
        )
    shown = ({k: f"{v:.6g}" for k, v in row.items()} for row in rows)
    write_table(shown, arguments.out)
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(name, f"mean {np.mean(values):.4f}, median {np.median(values):.4f},")
        print(f"  least {np.min(values):.4f}, largest {np.max(values):.4f}")


if __name__ == "__main__":
    main()
