"""`results/gpu` without a GPU: its table, its files, both modes at their smallest."""

import csv
import importlib.util
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import batch, tiny_model

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # after the standard library: `results` is no package

from results.gpu import archive, half_weights, measure  # noqa: E402
from results.gpu.cases import TINY, Case, all_cases  # noqa: E402

# `make check-jax` names the Python of an environment without TensorFlow.
PYTHON = os.environ.get("KERAS_FRM_JAX_PYTHON", "")
needs_jax = pytest.mark.skipif(
    not PYTHON and importlib.util.find_spec("jax") is None,
    reason="JAX is not installed; make check-jax has an environment with it",
)
CASE = Case("jax", "step", 512, 512, 1)


# === The table ===


@pytest.fixture
def failing_side(monkeypatch):
    monkeypatch.setattr(measure, "_SIDES", {"jax": "tests.gpu_side"})


def rows_of(batches, limit=60.0, minutes=5.0):
    cases = [replace(CASE, batch=batch) for batch in batches]
    return list(measure.rows(cases, time.monotonic() + 60 * minutes, limit))


def test_what_fails_is_a_row_and_no_end(failing_side):
    rows = rows_of([5, 1, 4, 8, 16, 2])
    assert [row["outcome"] for row in rows] == [
        "ValueError: a line and another one",
        "ok",
        "the process died",
        "out of memory",
        "not tried: a smaller batch was out of memory",
        "ok",
    ]
    assert [row["images_per_second"] for row in rows] == ["", "2.0", "", "", "", "4.0"]
    assert rows[1]["first_s"] == "2.0"
    assert rows[1]["peak_mib"] == "7"
    assert rows[1]["step_ms"] == "500.00"


def test_a_case_ends_at_its_limit_and_the_next_one_is_measured(failing_side):
    rows = rows_of([1, 3, 2], limit=5.0)
    assert [row["outcome"] for row in rows] == ["ok", "not done after 5 s", "ok"]


def test_cases_beyond_the_time_are_rows(failing_side):
    (row,) = rows_of([1], minutes=0)
    assert row["outcome"] == "not reached in the time given"


def test_larger_batches_of_other_cases_are_tried():
    whole = Case("jax", "step", 512, 512, 8)
    assert whole.is_like(replace(whole, batch=16))
    assert not whole.is_like(replace(whole, batch=16, rematerialize=True))


def test_operations():
    """Twice the multiply-adds of `results/profile.csv`, thrice in a training."""
    image = Case("jax", "inference", 1024, 2048)
    with (ROOT / "results" / "profile.csv").open(newline="") as file:
        (name, context, *_), *_ = rows = [
            row for row in csv.reader(file) if row[:4] == ["frm", "frm", "1024", "2048"]
        ]
    multiply_adds, attention = float(rows[0][6]), float(rows[0][8])
    assert (name, context) == ("frm", "frm")
    expected = 2e9 * (multiply_adds + attention)
    assert image.operations() == pytest.approx(expected, rel=1e-3)
    assert replace(image, what="step", batch=2).operations() == pytest.approx(
        6 * expected, rel=1e-3
    )
    assert Case("jax", "matmul", 4, 4).operations() == 2 * 4**3
    assert math.isnan(replace(image, backbone=TINY).operations())


def test_shares_are_of_the_product_of_matrices_in_the_same_numbers():
    found = {"outcome": "ok", "call_s": 0.5}
    rates = {"bfloat16": 2 * CASE.operations() / 0.5}
    assert measure.row(CASE, found, rates)["share_of_matmul"] == "0.500"
    single = replace(CASE, dtype="float32")
    assert measure.row(single, found, rates)["share_of_matmul"] == ""


def test_no_case_twice_and_products_first():
    cases = all_cases()
    assert len(set(cases)) == len(cases)
    assert [case.what for case in cases[:2]] == ["matmul", "matmul"]
    assert {case.dtype for case in cases[:2]} == {"float32", "bfloat16"}


# === Files ===


def test_archives_keep_labels_and_nearly_images(tmp_path):
    images, labels = batch(5, (40, 56), num_classes=4)
    packed = archive.pack(zip(images, labels, strict=True), quality=90)
    archive.write(tmp_path / "a.npz", {"train": packed, "val": packed})
    decoded, masks = archive.read(tmp_path / "a.npz", "val")
    np.testing.assert_array_equal(masks, labels)
    assert (decoded.shape, decoded.dtype) == (images.shape, np.uint8)
    assert np.abs(decoded.astype(int) - images).mean() < 16
    # Red stays red.
    means = decoded.mean((0, 1, 2)), images.mean((0, 1, 2))
    assert np.abs(means[0] - means[1]).max() < 4


def test_an_archive_of_one_image(tmp_path):
    images, labels = batch(1, (8, 8))
    packed = archive.pack(zip(images, labels, strict=True), quality=90)
    assert archive.unpack(packed)[0].shape == (1, 8, 8, 3)


def test_weights_come_back_in_half_precision(tmp_path):
    model, other = (tiny_model("camvid").network for _ in "ab")
    paths = half_weights.write(model, tmp_path, "camvid", largest=20_000)
    assert len(paths) > 1
    for path in paths:
        assert sum(array.nbytes for array in np.load(path).values()) <= 20_000
    half_weights.read(other, tmp_path, "camvid")
    for old, new in zip(model.weights, other.weights, strict=True):
        tolerance = 1e-3 if len(old.shape) > 1 else 0
        np.testing.assert_allclose(new.numpy(), old.numpy(), tolerance, 1e-7)


def test_a_missing_part_is_named(tmp_path):
    network = tiny_model("camvid").network
    half_weights.write(network, tmp_path, "camvid", largest=20_000)[0].unlink()
    with pytest.raises(
        ValueError, match=r"camvid_\*\.npz' hold \d+ weights of \d+, no"
    ):
        half_weights.read(network, tmp_path, "camvid")


# === Both modes ===


def run_gpu(*arguments):
    flags = (
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    )
    done = subprocess.run(
        [PYTHON or sys.executable, "-m", "results.gpu", *map(str, arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": flags,
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_jax
@pytest.mark.slow
def test_measuring_at_its_smallest(tmp_path):
    run_gpu(
        *("measure", "--smallest", "--out", tmp_path),
        *("--minutes", "20", "--limit", "600"),
    )
    rows = list(csv.DictReader((tmp_path / "gpu.csv").open(newline="")))
    assert [row["what"] for row in rows] == ["matmul", "step", "inference", "step"]
    for row in rows:
        if row["outcome"] == "ModuleNotFoundError: No module named 'torch'":
            assert row["side"] == "torch"
            continue
        assert row["outcome"] == "ok"
        assert float(row["images_per_second"]) > 0
        assert float(row["first_s"]) >= 0
    assert rows[0]["outcome"] == rows[1]["outcome"] == rows[2]["outcome"] == "ok"
    assert int(rows[1]["peak_mib"]) > 0


@needs_jax
@pytest.mark.slow
def test_training_at_its_smallest(tmp_path):
    for name, classes in (("cityscapes256", 19), ("camvid", 11)):
        images, labels = batch(4, (40, 48), num_classes=classes)
        packed = archive.pack(zip(images, labels, strict=True), quality=80)
        archive.write(tmp_path / f"{name}.npz", {"train": packed, "val": packed})
    out = tmp_path / "out"
    run_gpu(
        *("train", "--smallest", "--out", out),
        *("--archives", tmp_path, "--minutes", "0.01"),
    )
    names = sorted(path.name for path in out.iterdir())
    assert names == ["camvid_0.npz", "cityscapes256_0.npz", "log.csv"]
    rows = list(csv.DictReader((out / "log.csv").open(newline="")))
    ends = [row for row in rows if row["epoch"] == "end"]
    assert [row["training"] for row in ends] == ["cityscapes256", "camvid"]
    assert all(0 <= float(row["val_mean_iou"] or row["mean_iou"]) <= 1 for row in ends)
    network = tiny_model("camvid").network
    half_weights.read(network, out, "camvid")
    assert all(np.isfinite(weight.numpy()).all() for weight in network.weights)
