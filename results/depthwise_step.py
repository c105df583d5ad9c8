"""Forms of VAN's dilated depthwise convolution in a training step.

    python results/depthwise_step.py [--runs 15] [--out FILE]

7x7 taps, three pixels apart, float32, two threads, forward pass and both gradients, at
the maps of VAN-small's stages for two crops of 512x512: Keras' layer (TensorFlow sorts
pixels into batches and back), the three smaller convolutions of the exported files, and
the layer that this package trains with. Writes results/depthwise_step.csv.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from table import write_table

from keras_frm.benchmark.machine import machine_name
from keras_frm.benchmark.timing import interleaved_times
from keras_frm.graph.flatten import flatten
from keras_frm.graph.passes.split_depthwise import split_depthwise
from keras_frm.layers.blocks.dilated_depthwise import LargeDepthwiseConv2D

MAPS = ((2, 128, 128, 64), (2, 64, 64, 128), (2, 32, 32, 320), (2, 16, 16, 512))
THREADS = 2
OPTIONS = {"kernel_size": 7, "padding": "same", "dilation_rate": 3}


def step_of(network, x, upstream):
    """Return a compiled forward pass with the gradients of a map and all weights."""

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = network(x, training=True)
        weights = [weight.value for weight in network.trainable_weights]
        return y, tape.gradient(y, [x, *weights], output_gradients=upstream)

    return step


def forms(shape):
    """Return the forms as networks with the same weights, by name."""
    x = keras.Input(shape[1:])
    plain = keras.Model(x, keras.layers.DepthwiseConv2D(**OPTIONS)(x))
    ours = keras.Model(x, LargeDepthwiseConv2D(**OPTIONS)(x))
    ours.set_weights(plain.get_weights())
    split, split_ours = (
        split_depthwise(flatten(network, shape[1:], batch_size=None))
        for network in (plain, ours)
    )
    return {
        "keras": plain,
        "ours": ours,
        "keras, three smaller": split,
        "ours, three smaller": split_ours,
    }


def compare(shape, runs):
    """Yield the rows of one map."""
    random = np.random.default_rng(0)
    x, upstream = (tf.constant(random.normal(size=shape), tf.float32) for _ in "xy")
    networks = forms(shape)
    steps = {name: step_of(network, x, upstream) for name, network in networks.items()}
    _, (wanted, *_) = steps["keras"]()
    times = interleaved_times(list(steps.values()), runs)  # (runs, forms)
    for position, (name, step) in enumerate(steps.items()):
        _, (found, *_) = step()
        difference = tf.reduce_max(tf.abs(found - wanted))
        ratios = times[:, position] / times[:, 0]
        yield {
            "map": "x".join(map(str, shape)),
            "form": name,
            "ms_median": round(float(np.median(times[:, position])), 1),
            "ratio_median": round(float(np.median(ratios)), 3),
            "gradient_difference": f"{difference / tf.reduce_max(tf.abs(wanted)):.1e}",
            "runs": runs,
            "machine": f"{machine_name()}, TensorFlow {tf.__version__}",
        }


def main():
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    rows = (row for shape in MAPS for row in compare(shape, arguments.runs))
    write_table(rows, arguments.out)


if __name__ == "__main__":
    main()
