"""The same network and ranges through TFMOT's `quantize_model` and through ours.

TFMOT needs Keras 2: it runs in a process of its own. Convolutions only: depthwise
kernels have one scale for all channels in its scheme, and one each in ours.
"""

import importlib.util
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frm.export.tflite.convert import to_tflite
from keras_frm.graph.graph import Graph
from keras_frm.quantization.fake_quantize import fake_quantize
from keras_frm.quantization.plan import IMAGE, Plan
from keras_frm.targets import target_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(
            importlib.util.find_spec(name)
            for name in ("tf_keras", "tensorflow_model_optimization")
        ),
        reason="tf-keras or tensorflow-model-optimization is missing",
    ),
]

# Calls in training mode move the ranges, a thousandth of the way in each. The fixed
# seed makes the two files' agreement repeatable.
TFMOT = """
import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.quantization.keras import quantize_model

folder = sys.argv[1]
tf_keras.utils.set_random_seed(0)
conv = tf_keras.layers.Conv2D
model = quantize_model(tf_keras.Sequential([
    conv(8, 3, 2, "same", activation="relu", input_shape=(16, 16, 3), name="first"),
    conv(12, 1, activation="relu", name="second"),
    conv(5, 1, name="third"),
]))
random = np.random.default_rng(0)
for weight in model.trainable_weights:
    weight.assign(random.normal(0, 0.3, weight.shape))
first = model.trainable_weights[0]
first.assign(first / 100)  # images reach 255

@tf.function
def observe(images):
    model(images, training=True)

batches = random.integers(0, 256, (50, 4, 16, 16, 3)).astype("float32")
for step in range(4000):
    observe(tf.constant(batches[step % 50]))
np.savez(f"{folder}/network.npz", **{w.name: w.numpy() for w in model.weights})

@tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3))])
def function(image):
    return model(image, training=False)

converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [function.get_concrete_function()], model
)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
with open(f"{folder}/tfmot.tflite", "wb") as file:
    file.write(converter.convert())
"""


@pytest.fixture(scope="module")
def tfmot(tmp_path_factory):
    """TFMOT's weights and ranges by name, and its int8 file."""
    folder = tmp_path_factory.mktemp("tfmot")
    command = [sys.executable, "-c", TFMOT, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    with np.load(folder / "network.npz") as arrays:
        return dict(arrays), (folder / "tfmot.tflite").read_bytes()


@pytest.fixture(scope="module")
def ours(tfmot):
    """Our int8 file of TFMOT's weights and ranges."""
    arrays, _ = tfmot
    layers = keras.layers
    image = keras.Input(batch_shape=(1, 16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, 2, "same", name="first")(image)
    x = layers.Conv2D(12, 1, name="second")(layers.ReLU(name="relu_1")(x))
    x = layers.Conv2D(5, 1, name="third")(layers.ReLU(name="relu_2")(x))
    model = keras.Model(image, x)
    for name in ("first", "second", "third"):
        kernel, bias = arrays[f"{name}/kernel:0"], arrays[f"{name}/bias:0"]
        model.get_layer(name).set_weights([kernel, bias])
    prefixes = {
        IMAGE: "quantize_layer/quantize_layer",
        "relu_1": "quant_first/post_activation",
        "relu_2": "quant_second/post_activation",
        "third": "quant_third/post_activation",
    }
    ranges = {
        name: tuple(float(arrays[f"{prefix}_{end}:0"]) for end in ("min", "max"))
        for name, prefix in prefixes.items()
    }
    plan = Plan(Graph(model))
    assert set(plan.tensors_by_range()) == set(ranges)
    return to_tflite(fake_quantize(model, plan, ranges), target_of("int8"))


def interpreter_of(content):
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return interpreter


def outputs_of(content, images):
    """Run a file on images of whole numbers in [0, 255], whatever type it takes."""
    interpreter = interpreter_of(content)
    (image,), (output,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    results = []
    for each in images:
        interpreter.set_tensor(image["index"], each[None].astype(image["dtype"]))
        interpreter.invoke()
        results.append(interpreter.get_tensor(output["index"]))
    return np.stack(results)


def kernels_of(content):
    """Return the integers and the scales of the kernels, by shape."""
    interpreter = interpreter_of(content)
    return {
        tuple(d["shape"]): (
            interpreter.get_tensor(d["index"]),
            d["quantization_parameters"]["scales"],
        )
        for d in interpreter.get_tensor_details()
        if d["dtype"] == np.int8 and d["shape"][0] != 1
    }


def test_kernels_are_the_same_integers(tfmot, ours):
    expected, actual = kernels_of(tfmot[1]), kernels_of(ours)
    assert set(expected) == {(8, 3, 3, 3), (12, 1, 1, 8), (5, 1, 1, 12)}
    assert set(actual) == set(expected)
    for shape, (integers, scales) in expected.items():
        np.testing.assert_allclose(actual[shape][1], scales, rtol=1e-6)
        assert len(scales) == shape[0]
        np.testing.assert_array_equal(actual[shape][0], integers)


def test_outputs_are_the_same_numbers(tfmot, ours):
    arrays, content = tfmot
    low, high = (arrays[f"quant_third/post_activation_{e}:0"] for e in ("min", "max"))
    images = np.random.default_rng(1).integers(0, 256, (20, 16, 16, 3))
    expected, actual = outputs_of(content, images), outputs_of(ours, images)
    assert len(np.unique(expected)) > 50
    steps = np.abs(actual - expected) / ((high - low) / 255)
    assert (steps <= 1.01).mean() >= 0.99
    assert (steps < 0.01).mean() >= 0.95
