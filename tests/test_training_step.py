"""The times of a training step's parts, and the command that prints them."""

import csv
import itertools
import math
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_cli import TINY_VAN, keras_frm
from tiny import batch, toy_model

from keras_frm.benchmark import training_step
from keras_frm.benchmark.training_step import time_training_step
from keras_frm.benchmark.training_step_report import save, to_csv, to_text
from keras_frm.layers.backbones.van import VAN_VARIANTS


def compiled(**kwargs):
    """Return a small model that can train."""
    model = toy_model(**kwargs)
    model.compile(keras.optimizers.SGD(0.1))
    return model


@pytest.fixture
def known_times(monkeypatch):
    """Let the step take 30 ms, 10 of them forward and 12 backward."""

    def times(calls, runs, on_round):
        for call in calls:
            call()
        on_round()
        return np.array(runs * [[30.0, 10.0, 22.0]]) * np.arange(1, runs + 1)[:, None]

    monkeypatch.setattr(training_step, "interleaved_times", times)


@pytest.mark.parametrize("contrastive_weight", [0.0, 1.0])
def test_parts_add_up_to_the_step(known_times, contrastive_weight):
    model = compiled(contrastive_weight=contrastive_weight)
    rounds = []
    row = time_training_step(
        model, (16, 24), 3, runs=3, on_round=lambda: rounds.append(1)
    )
    assert (row.step, row.forward, row.backward, row.update) == (60, 20, 24, 16)
    assert row.images_per_second == pytest.approx(3 / 0.06)
    assert (row.batch_size, row.crop, row.runs) == (3, (16, 24), 3)
    assert math.isnan(row.input)
    assert 1e7 < row.memory < 1e12
    assert row.first_step > 0
    assert rounds == [1]
    assert int(model.optimizer.iterations) == 3  # two before, one in the rounds


def test_input_is_the_time_of_the_pipeline():
    def slow():
        while True:
            time.sleep(0.02)
            yield batch()

    row = time_training_step(compiled(), (1, 1), 1, batches=slow(), runs=4)
    assert 20 <= row.input < 200
    assert (row.batch_size, row.crop) == (2, (16, 24))  # those of the data
    assert row.step > 0


def kinds(function, model):
    """Return the kinds of operations of a compiled part."""
    images, labels = (tf.convert_to_tensor(x) for x in batch())
    graph = function(model).get_concrete_function(images, labels).graph
    return {operation.type for operation in graph.get_operations()}


def test_only_the_second_part_has_gradients():
    model = compiled()
    gradient = "Conv2DBackpropFilter"
    assert gradient not in kinds(training_step._forward, model)
    assert gradient in kinds(training_step._forward_and_backward, model)


@pytest.mark.parametrize("compiled_by_xla", [True, False])
def test_parts_are_compiled_as_the_step_is(compiled_by_xla):
    model = toy_model(contrastive_weight=0.0)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=compiled_by_xla)
    images, labels = (tf.convert_to_tensor(x) for x in batch())
    parts = (training_step._forward, training_step._forward_and_backward)
    for part in parts:
        function = part(model)
        assert function._jit_compile == (compiled_by_xla or None)
    loss, *gradients = function(images, labels)
    assert float(loss) > 0
    assert [g.shape for g in gradients] == [w.shape for w in model.trainable_weights]
    assert all(np.abs(g).max() > 0 for g in gradients)


def test_at_least_one_run():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        time_training_step(compiled(), (16, 24), 2, runs=0)


def test_report_says_each_number(known_times, tmp_path):
    row = time_training_step(
        compiled(), (16, 24), 3, network="toy", runs=1, threads="2 threads"
    )
    text = to_text(row)
    cells = text.splitlines()[1].split()
    assert cells[:6] == ["toy", "float32", "3", "16x24", "100.00", "30.0"]
    assert cells[6:10] == ["-", "10.0", "12.0", "8.0"]
    assert "2 threads" in text
    line = next(csv.DictReader(to_csv(row).splitlines()))
    assert line["backward_ms"] == "12.0000"
    assert line["input_ms"] == ""
    assert save(row, tmp_path / "new").read_text() == to_csv(row)


SMALL = ("--train", "--backbone", "van_tiny", "--runs", 1, "--batch-size", 2)


@pytest.fixture
def tiny_van(monkeypatch):
    """Make van_tiny small enough for a test."""
    monkeypatch.setitem(VAN_VARIANTS, "van_tiny", TINY_VAN)


@pytest.mark.long
def test_command_prints_a_table_and_writes_it(tiny_van, tmp_path):
    options = ("--crop", 32, 64, "--preset", "synthetic", "--rematerialize")
    done = keras_frm("benchmark", *SMALL, *options, "--out", tmp_path)
    assert done.code == 0, done.err
    assert "van_tiny, rematerialized" in done.out
    (line,) = csv.DictReader((tmp_path / "train_benchmark.csv").open())
    assert (line["crop_height"], line["crop_width"]) == ("32", "64")
    assert float(line["input_ms"]) > 0
    parts = [float(line[f"{p}_ms"]) for p in ("forward", "backward", "update")]
    assert sum(parts) == pytest.approx(float(line["step_ms"]), rel=1e-3)


def test_mistakes_are_one_line(tiny_van, tmp_path):
    mistakes = {
        ("benchmark",): "give model files",
        ("benchmark", "a.tflite", "--train"): "without a file",
        ("benchmark", *SMALL, "--crop", 0, 8): "at least 1",
        ("benchmark", "--train", "--backbone", "resnet"): "van_small",
        ("benchmark", *SMALL, "--preset", "kitti"): "camvid",
        ("benchmark", *SMALL, "--data", tmp_path / "none"): "none",
        ("benchmark", *SMALL, "--precision", "float12"): "float12",
    }
    for arguments, words in mistakes.items():
        assert words in keras_frm(*arguments).line, arguments


def test_batches_are_read_once(known_times):
    read = itertools.count()

    def batches():
        while True:
            next(read)
            yield batch()

    time_training_step(compiled(), (1, 1), 1, batches=batches(), runs=2)
    assert next(read) == 2 + 2
