"""Exported files in a real parser and builder of NVIDIA: TensorRT-RTX, on the CPU.

Its wheels are no dependency, and their licence is NVIDIA's own: `make test-tensorrt`
installs them. An engine cannot be loaded without a GPU, so nothing is run.
"""

import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import tiny_model

import keras_frm
from keras_frm import export_onnx, quantize_aware

trt = pytest.importorskip("tensorrt_rtx_bindings")

SIZE = (64, 96)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), np.uint8)
SOURCES = Path(keras_frm.__file__).parent / "runtime"
WHEELS = Path(__file__).parents[1] / "build" / "tensorrt"


def built(path):
    """Parse and build a file; what the parser says where it refuses."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(path.read_bytes()), [
        parser.get_error(i).desc() for i in range(parser.num_errors)
    ]
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    assert plan is not None
    return bytes(plan)


@pytest.mark.parametrize("output", ["mask", "logits"])
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_precisions(precision, output, tmp_path):
    keras.utils.set_random_seed(0)
    model = tiny_model()
    if precision == "int8":
        model = quantize_aware(
            model, representative_data=IMAGES, input_shape=SIZE, scheme="tensorrt"
        )
    path = tmp_path / "net.onnx"
    export_onnx(model, path, input_shape=SIZE, precision=precision, output=output)
    assert built(path)


@pytest.mark.parametrize("context", ["ppm", "dappm", None])
@pytest.mark.parametrize("alignment", ["bilinear", "flow"])
def test_contexts_and_alignments(context, alignment, tmp_path):
    model = tiny_model(context=context, alignment=alignment)
    path = tmp_path / "net.onnx"
    export_onnx(model, path, input_shape=SIZE, precision="float16")
    assert built(path)


def names_in_use():
    """Names of TensorRT's API that the package writes behind a dot."""
    text = "".join(
        (SOURCES / name).read_text()
        for name in ("tensorrt/build.py", "backends/tensorrt.py")
    )
    text = re.sub(r"^(from|import) .*$", "", text, flags=re.MULTILINE)
    known = (
        r"\b(?:trt|builder|network|parser|config|engine|runtime|self\._context|self\._"
        r"engine)\.((?:[A-Za-z_0-9]+\.?)+)"
    )
    chains = re.findall(known, text)
    return {name for chain in chains for name in chain.split(".") if name}


@pytest.mark.parametrize("wheel", sorted(WHEELS.glob("*.whl")), ids=lambda p: p.name)
def test_names_are_those_of_both_versions(wheel):
    """Of the oldest and the newest version; the bindings have no stubs to read."""
    with zipfile.ZipFile(wheel) as archive:
        content = b"".join(
            archive.read(name)
            for name in archive.namelist()
            if name.endswith((".so", "bindings/__init__.py"))
        )
    names = names_in_use()
    assert {"build_serialized_network", "execute_async_v3"} <= names
    assert {name for name in names if name.encode() not in content} == set()
