import contextlib
import csv
import io
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_files
import pytest
import tensorflow as tf
from helpers import clock
from test_cli import keras_frm

from keras_frm.benchmark import operation_report
from keras_frm.benchmark.onnx_operation_times import time_onnx_operations
from keras_frm.benchmark.operation_times import (
    OperationRow,
    OperationTimes,
    time_operations,
)
from keras_frm.benchmark.single_operation import TensorShape, TfliteOperations
from keras_frm.benchmark.timing import interleaved_times
from keras_frm.runtime.backends.litert import load_interpreter

RANDOM = np.random.default_rng(0)
KERNEL = RANDOM.normal(size=(3, 3, 4, 4)).astype(np.float32)
BIASES = RANDOM.normal(size=(3, 4)).astype(np.float32)


def converted(function, *shapes, dtype=tf.float32, **options):
    """Convert a function of tensors; the attributes named in `options` are set."""
    specs = [tf.TensorSpec(shape, dtype) for shape in shapes]
    concrete = tf.function(function).get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    for name, value in options.items():
        setattr(converter, name, value)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        return converter.convert()


def chain(x):
    """Three equal convolutions, one of another stride, and an addition."""
    for bias in BIASES:
        x = tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME") + bias)
    x = tf.nn.conv2d(x, KERNEL, 2, "SAME")  # (B, H / 2, W / 2, 4)
    return x + tf.nn.softmax(x)


@pytest.fixture(scope="module")
def file():
    return converted(chain, (1, 8, 12, 4))


def test_rounds_go_over_all_calls_in_turn():
    calls = []
    times = interleaved_times(
        [lambda: calls.append("a"), lambda: calls.append("b")],
        runs=2,
        warm_up=1,
        clock=clock(1, 3, 2, 6),
    )
    assert calls == ["a", "b"] * 3
    assert times.tolist() == [[1000, 3000], [2000, 6000]]
    with pytest.raises(ValueError, match="at least 1, not 0"):
        interleaved_times([], runs=0)


def test_equal_operations_are_one_row(file):
    times = time_operations(file, runs=2)
    counts = {(row.operation, row.outputs[0].shape): row.count for row in times.rows}
    assert counts == {
        ("CONV_2D", (1, 8, 12, 4)): 3,
        ("CONV_2D", (1, 4, 6, 4)): 1,
        ("SOFTMAX", (1, 4, 6, 4)): 1,
        ("ADD", (1, 4, 6, 4)): 1,
    }
    assert all(row.milliseconds > 0 and row.delegated for row in times.rows)
    assert "XNNPACK runs 1 piece of it" in times.note
    assert times.whole > 0


def test_times_are_multiplied_sorted_and_shared(file):
    # The whole file takes 9 s, then each operation in the order of the file.
    times = time_operations(file, runs=3, clock=clock(9, 1, 2, 4, 8))
    found = [(row.operation, row.count, row.total / 1e3) for row in times.rows]
    assert found == [
        ("ADD", 1, 8),
        ("SOFTMAX", 1, 4),
        ("CONV_2D", 3, 3),
        ("CONV_2D", 1, 2),
    ]
    assert times.sum == 17_000
    assert times.whole == 9_000
    assert [times.share(row) * 17 for row in times.rows] == pytest.approx([8, 4, 3, 2])


def test_a_cut_operation_computes_what_it_did(file):
    from ai_edge_litert.interpreter import Interpreter

    whole = TfliteOperations(file)
    x = RANDOM.normal(size=(1, 8, 12, 4)).astype(np.float32)
    interpreter = Interpreter(model_content=whole.cut(whole.operations[0]))
    interpreter.allocate_tensors()
    assert len(interpreter.get_input_details()) == 1
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    expected = tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME") + BIASES[0])
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_an_int8_file():
    def samples():
        for _ in range(2):
            yield [RANDOM.random((1, 8, 12, 4), np.float32)]

    content = converted(
        chain,
        (1, 8, 12, 4),
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=samples,
    )
    times = time_operations(content, runs=1)
    names = {row.operation for row in times.rows}
    assert names >= {"QUANTIZE", "DEQUANTIZE", "CONV_2D"}
    assert not any(row.problem for row in times.rows)
    convolution = next(row for row in times.rows if row.operation == "CONV_2D")
    assert convolution.inputs[0].dtype == "int8"


def test_float16_weights_come_with_their_convolution():
    content = converted(
        chain,
        (1, 8, 12, 4),
        optimizations=[tf.lite.Optimize.DEFAULT],
        target_spec=tf.lite.TargetSpec(supported_types=[tf.float16]),
    )
    times = time_operations(content, runs=1)
    convolution = next(row for row in times.rows if row.operation == "CONV_2D")
    assert [shape.constant for shape in convolution.inputs][:2] == [False, True]
    assert convolution.delegated
    assert any(row.operation == "DEQUANTIZE" for row in times.rows)


def test_arg_max_is_not_for_xnnpack():
    def mask_of(x):
        return tf.cast(tf.argmax(x, axis=-1, output_type=tf.int32), tf.uint8)

    rows = time_operations(converted(mask_of, (1, 4, 6, 5)), runs=1).rows
    assert {(row.operation, row.delegated) for row in rows} == {
        ("ARG_MAX", False),
        ("CAST", False),
    }
    cast = next(row for row in rows if row.operation == "CAST")
    assert str(cast.inputs[0]) == "1x4x6 int32"


def test_what_cannot_run_alone_is_listed_without_a_time(file, monkeypatch):
    def picky(content, threads):
        cut = TfliteOperations(content)
        if [cut.name(operation) for operation in cut.operations] == ["SOFTMAX"]:
            raise RuntimeError("no\nsoftmax")
        return load_interpreter(content, threads)

    monkeypatch.setattr("keras_frm.benchmark.operation_times.load_interpreter", picky)
    times = time_operations(file, runs=1, clock=clock(9, 1, 2, 8))
    assert len(times.rows) == 4
    assert times.sum == 3 * 1e3 + 2e3 + 8e3
    row = times.rows[-1]
    assert (row.operation, row.count, row.problem) == ("SOFTMAX", 1, "no softmax")
    assert math.isnan(row.milliseconds)
    assert math.isnan(times.share(row))
    assert row.delegated is None


def test_flexible_size_and_damaged_files(tmp_path):
    flexible = tmp_path / "flexible.tflite"
    flexible.write_bytes(converted(chain, (1, None, None, 4)))
    with pytest.raises(ValueError, match=r"flexible.tflite takes images of any size"):
        time_operations(flexible)
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(200)))
    with pytest.raises(ValueError, match=r"damaged.tflite"):
        time_operations(damaged)
    with pytest.raises(FileNotFoundError, match=r"no file .*none.tflite"):
        time_operations(tmp_path / "none.tflite")


def rows():
    image = TensorShape((1, 8, 8, 4), "float32", False)
    kernel = TensorShape((4, 3, 3, 4), "int8", True)
    return (
        OperationRow(
            "CONV_2D", 2, 3.0, True, (image, kernel), (image,), "a/Relu;a/Bias"
        ),
        OperationRow("ADD", 1, 2.0, False, (image, image), (image,), "[bold]b"),
        OperationRow("WHILE", 1, math.nan, None, (image,), (image,), "c", "why not"),
    )


def test_text_and_csv():
    times = OperationTimes(
        rows(), whole=7.5, threads=2, runs=5, note="XNNPACK runs 2 pieces of it."
    )
    text = operation_report.to_text(times)
    line = next(line for line in text.splitlines() if line.startswith("CONV_2D"))
    assert line.split()[1:6] == ["2", "3.000", "6.00", "75.0%", "yes"]
    assert "1x8x8x4, [4x3x3x4 int8] -> 1x8x8x4" in line
    assert line.rstrip().endswith("a/Relu")
    assert "[bold]b" in text
    assert "time unknown: why not" in text
    assert (
        "sum of the operations 8.00 ms, 1 of unknown time left out; whole file" in text
    )
    assert "by kind: CONV_2D 75.0%, ADD 25.0%" in text
    assert "and 1 more, 2.00 ms together" in operation_report.to_text(times, limit=1)
    table = list(csv.DictReader(io.StringIO(operation_report.to_csv(times))))
    assert [row["total_ms"] for row in table] == ["6.0000", "2.0000", ""]
    assert [row["share"] for row in table] == ["0.7500", "0.2500", ""]
    assert table[0]["place"] == "a/Relu;a/Bias"
    assert table[2]["problem"] == "why not"


def test_the_command(file, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(file)
    done = keras_frm("profile", path, "--runs", 2, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "CONV_2D" in done.out
    assert "whole file" in done.out
    table = (tmp_path / "out" / "net_operations.csv").read_text()
    assert len(table.splitlines()) == 5


def test_an_onnx_file(tmp_path):
    path = onnx_files.write(tmp_path / "net.onnx", onnx_files.colour_scores((16, 24)))
    times = time_onnx_operations(path, threads=1, runs=2)
    (row,) = (row for row in times.rows if row.operation == "AveragePool")
    assert (row.count, row.delegated) == (1, None)
    assert [str(shape) for shape in row.inputs] == ["1x3x16x24"]
    assert 0 < row.milliseconds < times.whole
    done = keras_frm("profile", path, "--runs", 2)
    assert "ONNX Runtime times each operation inside the whole file" in done.out
    path.write_bytes(b"bad")
    assert "no .onnx file" in keras_frm("profile", path).line


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("none.tflite", "There is no file"),
        ("net.keras", "is no .tflite and no .onnx file"),
    ],
)
def test_the_command_with_a_mistake(name, match, tmp_path):
    assert match in keras_frm("profile", tmp_path / name).line


def test_timing_operations_needs_no_tensorflow(file, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(file)
    code = (
        "import sys\n"
        "from keras_frm.benchmark.operation_times import time_operations\n"
        f"assert time_operations({str(path)!r}, runs=1).rows\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
