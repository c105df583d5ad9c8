"""Files of networks with other context modules and with flow alignment."""

import functools

import keras
import numpy as np
import pytest
from tiny import tiny_backbone

from keras_frm.data.representative import scenes
from keras_frm.export.tflite.export import export_tflite
from keras_frm.networks.registry import build_network
from keras_frm.runtime.segmenter import Segmenter

pytestmark = pytest.mark.slow

ODD, EVEN = (72, 104), (64, 96)  # not a multiple of 32, and one


@functools.cache
def network(context="frm", alignment="bilinear"):
    """A tiny network whose classes all occur."""
    keras.utils.set_random_seed(0)
    built = build_network(
        11,
        backbone=tiny_backbone(),
        decoder_width=8,
        context=context,
        alignment=alignment,
    )
    logits = np.asarray(built(np.stack(scenes(EVEN, 4)).astype("float32")))
    classifier = built.get_layer("classifier")
    classifier.bias.assign_sub(np.median(logits, axis=(0, 1, 2)))
    return built


def check(model, size, path, precision, least, keep_float=()):
    """Export; the check of the export itself and new images must agree."""
    report = export_tflite(
        model,
        path,
        input_shape=size,
        precision=precision,
        representative_data=scenes(size, 6),
        keep_float=keep_float,
        min_agreement=least,
    )
    image = scenes(size, 9)[-1]
    logits = np.asarray(model(image[None].astype("float32"), training=False))
    expected = logits.argmax(-1)[0]
    assert len(np.unique(expected)) > 5
    assert np.mean(Segmenter(path, num_threads=1)(image) == expected) >= least
    return report


@pytest.mark.parametrize(
    "context",
    ["ppm", *(pytest.param(name, marks=pytest.mark.long) for name in ("dappm", None))],
)
def test_float32(context, tmp_path):
    report = check(network(context), ODD, tmp_path / "a.tflite", "float32", 0.999)
    assert report.partitions == 1
    assert set(report.outside_xnnpack) == {"ARG_MAX", "CAST"}


LARGER_CASES = [("ppm", "int8")] + [
    (context, precision)
    for context in ("dappm", None)
    for precision in ("float32", "int8")
]


@pytest.mark.parametrize(
    ("context", "precision"),
    [
        ("ppm", "float32"),
        *(pytest.param(*case, marks=pytest.mark.long) for case in LARGER_CASES),
    ],
)
def test_sizes_that_are_multiples_of_32(context, precision, tmp_path):
    least = {"float32": 0.999, "int8": 0.6}[precision]
    check(network(context), EVEN, tmp_path / "a.tflite", precision, least)


@pytest.mark.parametrize(
    "context",
    [
        None,
        pytest.param("ppm", marks=pytest.mark.long),
        pytest.param("dappm", marks=pytest.mark.long),
    ],
)
def test_int8(context, tmp_path):
    check(network(context), ODD, tmp_path / "a.tflite", "int8", 0.6)


# === Flow alignment: gathers with computed indices ===


@pytest.mark.parametrize(
    ("precision", "least"),
    [
        ("float32", 0.999),
        pytest.param("int8", 0.6, marks=pytest.mark.slow),
    ],
)
def test_flow_alignment(precision, least, tmp_path):
    report = check(
        network(alignment="flow"), *(ODD, tmp_path / "a.tflite", precision, least)
    )
    assert report.operations["GATHER_ND"] + report.operations["GATHER"] > 0
