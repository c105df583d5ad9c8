"""Every kind of model that the public functions make loads again in a new process."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import tiny_model

import keras_frm
from keras_frm import inference_graph, quantize_aware, recalibrate
from keras_frm.data.representative import scenes
from keras_frm.quantization.after_training import (
    quantize_after_training,
)

SIZE = (32, 64)
IMAGES = scenes(SIZE, 2)
BATCH = IMAGES[0][None].astype("float32")
# Loader -> its code, and the files it loads.
LOADERS = {
    "keras": ("import keras, keras_frm; load = keras.models.load_model", "*.keras"),
    "keras_frm": ("import keras_frm; load = keras_frm.load_model", "*quantized*.keras"),
}
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
image = np.load(folder / "image.npy")
outputs = {}
for path in sorted(folder.glob(sys.argv[3])):
    try:
        outputs[path.stem] = np.asarray(load(path)(image).numpy(), "float64")
    except Exception as error:
        outputs[path.stem] = np.array(repr(error)[:300])
np.savez(sys.argv[2], **outputs)
"""


def float_models():
    yield "model", tiny_model()
    yield "flow_model", tiny_model(alignment="flow")
    mixed = tiny_model(dtype="mixed_bfloat16")
    yield "mixed_model", mixed
    yield "dappm_network", tiny_model(context="dappm").network


def quantized_models():
    options = {"representative_data": IMAGES, "input_shape": SIZE}
    model = tiny_model()
    trainable = quantize_aware(model, teacher=model, **options)
    yield "quantized_model", trainable
    yield "quantized_network", trainable.network
    plain = quantize_aware(model.network, scheme="tensorrt", **options)
    yield "quantized_plain", plain
    flow = tiny_model(alignment="flow").network
    yield "quantized_flow", quantize_aware(flow, **options)
    yield "recalibrated", recalibrate(plain, representative_data=IMAGES)


def graphs():
    network = tiny_model().network
    for precision, output in (
        ("float32", "mask"),
        ("float32", "scores"),
        ("int8", "logits"),
        ("int8_full", "mask"),
    ):
        yield (
            f"graph_{precision}_{output}",
            inference_graph(
                network, input_shape=SIZE, precision=precision, output=output
            ),
        )
    logits = inference_graph(
        network, input_shape=SIZE, precision="int8_full", output="logits"
    )
    after_training = quantize_after_training(logits, IMAGES, integer_only=True)
    yield "after_training", after_training


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of models, and what each computes before it was saved."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("saved")
    np.save(folder / "image.npy", BATCH)
    outputs = {}
    for models in (float_models(), quantized_models(), graphs()):
        for name, model in models:
            model.save(folder / f"{name}.keras")
            outputs[name] = np.asarray(keras.ops.convert_to_numpy(model(BATCH)))
    return folder, outputs


@pytest.mark.slow
@pytest.mark.parametrize("loader", LOADERS)
def test_saved_model_computes_the_same_in_a_new_process(loader, saved, tmp_path):
    folder, outputs = saved
    code, pattern = LOADERS[loader]
    expected = {path.stem: outputs[path.stem] for path in folder.glob(pattern)}
    assert len(expected) > 2
    done = subprocess.run(
        [sys.executable, "-c", code + SCRIPT, folder, tmp_path / "all.npz", pattern],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "all.npz") as found:
        assert set(found) == set(expected)
        for name, array in expected.items():
            assert found[name].dtype.kind == "f", f"{name}: {found[name]}"
            np.testing.assert_array_equal(
                found[name], array.astype("float64"), err_msg=name
            )


def test_every_registered_class_is_imported_before_a_file_is_read():
    package = Path(keras_frm.__file__).parent
    decorator = re.compile(r"^@keras\.saving\.register_keras_serializable", re.M)
    modules = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for path in package.rglob("*.py")
        if decorator.search(path.read_text(encoding="utf-8"))
    }
    assert len(modules) > 30
    script = (
        "import sys, keras_frm; keras_frm.register_classes();"
        "print(*(name for name in sys.modules if name.startswith('keras_frm')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert modules <= set(done.stdout.split())
