"""Signal to noise of a quantised graph's tensors, and its report."""

import csv
import io
import math
from dataclasses import fields, replace

import cv2
import keras
import numpy as np
import pytest
from keras import layers
from test_quantization import SIZE, conv, graph_of, image, images, island, small_net

from keras_frm.graph.graph import Graph, rebuild
from keras_frm.graph.run import GraphRun
from keras_frm.quantization import error_report
from keras_frm.quantization.after_training import quantize_after_training
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.tensor_errors import TensorError, tensor_errors


def decibels(signal, noise):
    """Signal to noise of arrays, in float64."""
    signal, noise = np.asarray(signal, np.float64), np.asarray(noise, np.float64)
    return 10 * np.log10(np.square(signal).sum() / np.square(noise).sum())


def values(model, tensors, data):
    """The values of tensors of a model, images stacked: one array each."""
    probe = keras.Model(model.input, tensors)
    # Of one tensor, Keras makes no list.
    found = [keras.tree.flatten(probe(one[None].astype("float32"))) for one in data]
    return [np.stack(arrays).astype(np.float64) for arrays in zip(*found, strict=True)]


def by_name(model, name):
    """An operation, which may be the input."""
    return next(o for o in model.operations if o.name == name)


def conv_and_range(low=-9.0, high=9.0, layer=FakeQuant):
    """A graph of one convolution, and the same with one rounding."""
    x = image()
    model = graph_of(x, conv("c")(x))
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    rounding = layer(low, high, name="c.range")
    return model, keras.Model(copy.input, rounding(copy.output))


@pytest.mark.parametrize("net", [small_net, island])
def test_numbers_are_those_of_numpy(net):
    model, data = net(), images(3)
    quantised = quantize_after_training(model, data)
    errors = tensor_errors(model, quantised, data)
    roundings = {
        layer.name.removesuffix(".range"): layer
        for layer in quantised.layers
        if layer.name.endswith(".range")
    }
    assert {error.name for error in errors} == set(roundings)
    assert {"image", "norm"} & set(roundings)
    for error in errors:
        layer, operation = roundings[error.name], by_name(model, error.name)
        (expected,) = values(model, [operation.output], data)
        before, after = values(quantised, [layer.input, layer.output], data)
        with np.errstate(divide="ignore"):
            snr, own = (decibels(a, after - a) for a in (expected, before))
        low, high = map(float, layer.ends())
        step = (high - low) / 255
        outside = (before < low - step / 2) | (before > high + step / 2)
        assert error.kind == type(operation).__name__
        assert error.shape == operation.output.shape
        assert (error.minimum, error.maximum) == (low, high)
        # The graphs run fused in one and unfused in the other.
        assert error.snr_db == pytest.approx(snr, abs=0.05)
        assert error.own_snr_db == pytest.approx(own, abs=0.05)
        assert error.steps == pytest.approx(expected.std() / step, rel=1e-4)
        assert error.clipped == pytest.approx(outside.mean(), abs=1e-3)
    ratios = [error.snr_db for error in errors]
    assert ratios == sorted(ratios)
    assert len(set(ratios)) > 3


def test_a_bad_range_comes_out_worst():
    model, data = small_net(), images()
    quantised = quantize_after_training(model, data)
    good = {e.name: e for e in tensor_errors(model, quantised, data)}
    low, high = quantised.get_layer("skip.range").ends()
    narrow = FakeQuant(low / 50, high / 50, name="skip.range")
    quantised = rebuild(quantised, {quantised.get_layer("skip.range"): narrow})
    errors = tensor_errors(model, quantised, data)
    assert errors[0].name == "skip"
    assert errors[0].snr_db < 1 < 15 < good["skip"].snr_db
    assert errors[0].clipped > 0.5 > 0.01 > good["skip"].clipped
    bad = {error.name: error for error in errors}
    # What comes after has the error, and did not make it.
    assert bad["mix"].snr_db < good["mix"].snr_db - 6
    assert bad["mix"].own_snr_db > 20
    before = (errors["normalization_2"].snr_db for errors in (bad, good))
    assert next(before) == pytest.approx(next(before))


def test_a_range_too_wide_leaves_few_steps():
    narrow, wide = (
        tensor_errors(*conv_and_range(-limit, limit), images())[0]
        for limit in (300.0, 3000.0)
    )
    assert wide.steps == pytest.approx(narrow.steps / 10)
    assert wide.snr_db == pytest.approx(narrow.snr_db - 20, abs=2)
    assert wide.clipped == 0


def test_one_tensor():
    done = []
    (error,) = tensor_errors(
        *conv_and_range(-300, 300), iter(images()), lambda *args: done.append(args)
    )
    assert (error.name, error.kind, error.shape) == ("c", "Conv2D", (1, *SIZE, 4))
    assert error.own_snr_db == pytest.approx(error.snr_db, abs=1e-6)
    assert done == [(1, None), (2, None), (3, None), (4, None)]


class Halving(layers.Layer):
    """A rounding of another class, which halves."""

    def __init__(self, minimum, maximum, **kwargs):
        super().__init__(**kwargs)
        self.limits = minimum, maximum

    def ends(self):
        return self.limits

    def call(self, x):
        return x / 2


def test_any_layer_of_the_name_is_a_rounding():
    (error,) = tensor_errors(*conv_and_range(layer=Halving), images())
    assert error.snr_db == pytest.approx(10 * math.log10(4))


def test_one_rounding_layer_for_several_tensors():
    x = image()
    left, right = conv("left"), conv("right")
    model = graph_of(x, [left(x), right(x)])
    shared = FakeQuant(-300, 300, name="shared.range")
    quantised = keras.Model(x, [shared(left(x)), shared(right(x))])
    errors = {error.name: error for error in tensor_errors(model, quantised, images())}
    assert set(errors) == {"left", "right"}
    for error, tensor in zip(
        (errors["left"], errors["right"]), model.outputs, strict=True
    ):
        (expected,) = values(model, [tensor], images())
        assert error.snr_db > 20
        assert error.steps == pytest.approx(expected.std() / (600 / 255), rel=1e-4)


def test_a_layer_called_twice_is_compared_call_by_call():
    x = image()
    twice = conv("c", 3)
    model = graph_of(x, twice(twice(x)))
    quantised = quantize_after_training(model, images())
    errors = [e for e in tensor_errors(model, quantised, images()) if e.name == "c"]
    assert len(errors) == 2
    assert min(error.snr_db for error in errors) > 20
    assert errors[0].steps != errors[1].steps


def test_zero_signal():
    model, quantised = conv_and_range()
    for weight in [*model.weights, *quantised.get_layer("c").weights]:
        weight.assign(np.zeros(weight.shape))
    (error,) = tensor_errors(model, quantised, images())
    assert error.snr_db == error.own_snr_db == math.inf
    assert error.steps == error.clipped == 0
    quantised.get_layer("c").bias.assign(np.ones(4))
    (error,) = tensor_errors(model, quantised, images())
    assert error.snr_db == -math.inf
    assert error.own_snr_db > 20


def test_no_images():
    with pytest.raises(ValueError, match="There are no images"):
        tensor_errors(*conv_and_range(), [])


@pytest.mark.parametrize("shape", [(4, 12, 3), (8, 12), (8, 12, 1), (1, 8, 12, 3)])
def test_wrong_size(shape):
    with pytest.raises(ValueError, match=r"An image has shape .* take \(8, 12, 3\)"):
        tensor_errors(*conv_and_range(), [np.zeros(shape, np.uint8)])


def test_unquantised_graph():
    model = small_net()
    with pytest.raises(ValueError, match="is not quantised; none of its layers"):
        tensor_errors(model, model, images())


def test_graphs_of_two_networks():
    x = image()
    other = graph_of(x, conv("other")(x))
    match = "'c.range' rounds the result of 'c', which the reference graph"
    with pytest.raises(ValueError, match=match):
        tensor_errors(other, conv_and_range()[1], images())
    wider = graph_of(x, conv("c", 5)(x))
    with pytest.raises(ValueError, match=r"'c.range' .*\(1, 8, 12, 4\).*12, 5\)"):
        tensor_errors(wider, conv_and_range()[1], images())


def test_tensor_that_is_not_finite():
    model, quantised = conv_and_range()
    model.get_layer("c").bias.assign(np.array([0, np.nan, 0, 0]))
    with pytest.raises(ValueError, match="'c' is not finite"):
        tensor_errors(model, quantised, images())


def test_a_run_computes_what_the_model_does_and_no_more():
    model = small_net()
    graph = Graph(model)
    batch = keras.ops.array(images()[0][None].astype("float32"))
    run = GraphRun(graph, [batch])
    last = graph.calls[-1].outputs[0]
    np.testing.assert_allclose(run.value(last), model(batch), rtol=1e-5, atol=1e-5)
    impossible = GraphRun(graph, [None])
    assert impossible.value(graph.inputs[0]) is None


# === The report ===

ERROR = TensorError(
    *("stem", "Conv2D", (1, 8, 12, 4), 9.5, 40.25, -1.0, 2.0, 30.0, 0.015)
)


def errors_of(*ratios):
    return [
        replace(ERROR, name=f"tensor_{i}", snr_db=ratio)
        for i, ratio in enumerate(ratios)
    ]


def test_text():
    text = error_report.to_text([replace(ERROR, name="[bold]a"), *errors_of(12, 50)])
    line = next(line for line in text.splitlines() if line.startswith("[bold]a"))
    assert line.split()[1:] == (
        ["Conv2D", "1x8x12x4", "9.5", "40.2", "-1", "..", "2", "30.0", "1.50%"]
    )
    assert "more" not in text
    short = error_report.to_text(errors_of(1, 2, 3.5, math.inf), limit=2)
    assert "tensor_1 " in short
    assert "tensor_2" not in short
    assert "and 2 more, of 3.5 dB and above" in short
    assert "tensor_19" in error_report.to_text(errors_of(*range(40)))
    assert "tensor_20" not in error_report.to_text(errors_of(*range(40)))


def test_csv_comes_back():
    errors = [replace(ERROR, name='a,"b"'), *errors_of(-math.inf, math.inf, 1 / 3)]
    table = list(csv.DictReader(io.StringIO(error_report.to_csv(errors))))
    assert list(table[0]) == [field.name for field in fields(TensorError)]
    for row, error in zip(table, errors, strict=True):
        shape = tuple(int(size) for size in row.pop("shape").split("x"))
        name, kind, *numbers = row.values()
        assert (name, kind, shape) == (error.name, error.kind, error.shape)
        expected = [getattr(error, field.name) for field in fields(error)[3:]]
        assert [float(x) for x in numbers] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "ratios",
    [[20.0], [math.inf], [-math.inf], [-30.0, 5.0, math.inf], []],
    ids=["one", "inf", "minus_inf", "mixed", "none"],
)
def test_picture(ratios):
    picture = error_report.plot(errors_of(*ratios))
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1


def test_the_picture_shows_the_worst():
    few, many = (error_report.plot(errors_of(*range(n)), limit=4) for n in (4, 9))
    np.testing.assert_array_equal(few, many)


def test_longer_bars_are_bluer():
    low, high = (
        error_report.plot([replace(ERROR, snr_db=ratio, own_snr_db=50.0)])
        for ratio in (10.0, 40.0)
    )
    blue = (31, 119, 180)
    shares = [(picture == blue).all(axis=-1).mean() for picture in (low, high)]
    assert shares[1] > 2 * shares[0] > 0


def test_names_are_no_formulas_and_may_be_long():
    names = ["$x^", "a" * 300, "b/\n%s"]
    picture = error_report.plot([replace(ERROR, name=name) for name in names])
    assert picture.shape[1] < 2000


def test_files(tmp_path):
    errors = errors_of(*range(21))
    assert error_report.save(errors, tmp_path / "out", "net") == tmp_path / "out"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"net_tensors.csv", "net_tensors.txt", "net_tensors.png"}
    content = (tmp_path / "out" / "net_tensors.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1
    text = (tmp_path / "out" / "net_tensors.txt").read_text()
    assert "tensor_20" in text
    assert (tmp_path / "out" / "net_tensors.csv").read_text().count("\n") == 22
