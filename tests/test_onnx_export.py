"""`export_onnx` and `keras-frm export x.onnx`: heads, precisions, checks, refusals."""

import keras
import numpy as np
import onnx
import onnx_files
import pytest
from helpers import randomise
from onnx import TensorProto, helper, numpy_helper
from test_cli import keras_frm
from tiny import tiny_model

from keras_frm import build_model, export_onnx, export_tflite, quantize_aware
from keras_frm.export.onnx.checks import check_batch, check_model
from keras_frm.export.report import ExportError
from keras_frm.labels import CAMVID
from keras_frm.runtime.backends.network import open_network
from keras_frm.runtime.onnx.check import check_onnx
from keras_frm.runtime.segmenter import Segmenter

onnxruntime = pytest.importorskip("onnxruntime")

SIZE = (48, 65)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, *SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return tiny_model()


@pytest.fixture(scope="module")
def quantized(model):
    return quantize_aware(
        model, representative_data=IMAGES, input_shape=SIZE, scheme="tensorrt"
    )


def exported(model, folder, **options):
    path = folder / "net.onnx"
    options = {"input_shape": SIZE, "representative_data": IMAGES[:2]} | options
    return export_onnx(model, path, **options), path


def logits_of(model, images=IMAGES[:2]):
    return keras.ops.convert_to_numpy(model.network(images.astype("float32")))


# === What comes out ===


@pytest.mark.parametrize("output", ["mask", "logits", "scores"])
@pytest.mark.parametrize("stride", [1, 4])
def test_heads(output, stride, model, tmp_path):
    report, path = exported(model, tmp_path, output=output, output_stride=stride)
    (taken,), (given,) = described(path)
    assert taken == ("image", "tensor(uint8)", [1, *SIZE, 3])
    sides = [-(-side // stride) for side in SIZE]
    channels = [] if output == "mask" else [11]
    kind = "tensor(uint8)" if output == "mask" else "tensor(float)"
    assert given == (output, kind, [1, *sides, *channels])
    assert report.agreement == 1
    segmenter = Segmenter(path, verify=False)
    if stride == 1:
        expected = logits_of(model).argmax(-1)
        found = np.stack([segmenter(image) for image in IMAGES[:2]])
        np.testing.assert_array_equal(found, expected)


def described(path):
    """Name, type and shape of a file's inputs and outputs."""
    session = onnxruntime.InferenceSession(path)
    return [
        [(each.name, each.type, each.shape) for each in tensors]
        for tensors in (session.get_inputs(), session.get_outputs())
    ]


@pytest.mark.parametrize(
    ("precision", "opset", "tolerance"),
    [("float32", 17, 1e-5), ("float16", 19, 1e-2)],
)
@pytest.mark.parametrize("batch", [1, None])
def test_precisions_and_batches(precision, opset, tolerance, batch, model, tmp_path):
    report, path = exported(
        model, tmp_path, precision=precision, batch=batch, output="logits"
    )
    assert report.opset == opset
    images = IMAGES[:3] if batch is None else IMAGES[:1]
    (found,) = onnxruntime.InferenceSession(path).run(None, {"image": images})
    expected = logits_of(model, images)
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()
    weights = {each.data_type for each in onnx.load(path).graph.initializer}
    assert (TensorProto.FLOAT16 in weights) == (precision == "float16")
    segmenter = Segmenter(path, verify=False)
    assert segmenter(IMAGES[0]).shape == SIZE


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 96), (85, 119)])
@pytest.mark.parametrize(
    "network",
    [
        {"backbone": "van_small"},
        {"backbone": "van_small", "alignment": "flow"},
        {"backbone": "van_tiny"},
        {"backbone": "efficientnet_lite0"},
        {"network": "frm_lite0"},
        {"backbone": "van_tiny", "context": "ppm"},
        {"backbone": "van_tiny", "context": "dappm"},
        {"backbone": "van_tiny", "context": None, "alignment": "flow"},
    ],
    ids=lambda network: "-".join(map(str, network.values())),
)
def test_logits_of_whole_networks(network, size, tmp_path):
    keras.utils.set_random_seed(0)
    model = randomise(build_model("cityscapes", **network))
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    expected = logits_of(model, images)
    for batch in (1, None):
        _, path = exported(
            model, tmp_path, input_shape=size, output="logits", batch=batch
        )
        session = onnxruntime.InferenceSession(path)
        batches = [images] if batch is None else [images[:1], images[1:]]
        found = np.concatenate([session.run(None, {"image": x})[0] for x in batches])
        # With such statistics each is up to 1.3e-5 from the same network in float64.
        noise = 2.5e-5 * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=noise)
        best = np.sort(expected)[..., -2:]  # (B, H, W, 2)
        told_apart = best[..., 1] - best[..., 0] > 2 * noise
        assert told_apart.mean() > 0.999
        assert (found.argmax(-1) == expected.argmax(-1))[told_apart].all()


def test_what_the_file_says_of_itself(model, tmp_path):
    _, path = exported(model, tmp_path, provenance={"source": "a run"})
    about = check_onnx(path.read_bytes())
    assert about.labels == CAMVID
    assert (about.precision, about.output, about.input_size) == (
        "float32",
        "mask",
        SIZE,
    )
    assert about.input_dtype == "uint8"
    assert about.provenance["source"] == "a run"
    tflite = tmp_path / "net.tflite"
    export_tflite(model, tflite, input_shape=SIZE, representative_data=IMAGES[:2])
    other = Segmenter(tflite, verify=False).metadata.provenance
    assert about.provenance["weights_sha256"] == other["weights_sha256"]
    np.testing.assert_array_equal(
        Segmenter(path, verify=False)(IMAGES[3]),
        Segmenter(tflite, verify=False)(IMAGES[3]),
    )


def test_report_is_readable(model, quantized, tmp_path):
    report, path = exported(model, tmp_path, precision="float16")
    text = str(report)
    for words in ("net.onnx: float16", "Conv", "opset 19", "100.000 % of the sure"):
        assert words in text
    assert "QuantizeLinear" not in text
    assert report.size == path.stat().st_size
    report, _ = exported(quantized, tmp_path, precision="int8", min_agreement=0)
    pairs, convolutions = report.quantized_tensors, report.operations["Conv"]
    assert f"on {pairs} tensors for {convolutions} convolutions" in str(report)
    assert pairs < 1.6 * convolutions


def test_int8_computes_what_its_model_computes(quantized, tmp_path):
    _, path = exported(quantized, tmp_path, precision="int8", output="logits")
    segmenter = Segmenter(path, verify=False)
    expected = logits_of(quantized).argmax(-1)
    found = np.stack([segmenter(image) for image in IMAGES[:2]])
    assert np.mean(found == expected) > 0.9  # of a random network, in float16 around
    kinds = {each.data_type for each in onnx.load(path).graph.initializer}
    assert TensorProto.INT8 in kinds
    assert TensorProto.INT32 not in kinds


# === What is refused ===


def refusal(model, folder, error=ValueError, **options):
    with pytest.raises(error) as caught:
        exported(model, folder, **options)
    assert not list(folder.iterdir())
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_biases_beside_small_scales(tmp_path):
    """ONNX Runtime would round them to a product of scales that is 0 in float16."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((*SIZE, 3))
    normal = keras.initializers.RandomNormal
    x = keras.layers.Rescaling(1 / 2550)(x)
    for width, spread in ((4, 1e-2), (5, 1.0)):
        x = keras.layers.ReLU()(x)
        x = keras.layers.Conv2D(
            width,
            3,
            padding="same",
            kernel_initializer=normal(stddev=spread),
            bias_initializer=normal(stddev=1e-2),
        )(x)
    network = keras.Model(image, x)
    graph = quantize_aware(network, representative_data=IMAGES, scheme="tensorrt")
    _, path = exported(
        graph, tmp_path, precision="int8", output="logits", min_agreement=0
    )
    found = open_network(path, 1, verify=False).run(IMAGES[0])
    expected = np.asarray(graph(IMAGES[:1].astype("float32")))[0]
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_arguments(model, quantized, tmp_path):
    assert "no precision 'dynamic'" in refusal(model, tmp_path, precision="dynamic")
    assert "no output 'masks'" in refusal(model, tmp_path, output="masks")
    assert "batch is 1" in refusal(model, tmp_path, batch=4)
    line = refusal(model, tmp_path, precision="int8")
    assert "quantize_aware(..., scheme='tensorrt')" in line
    line = refusal(quantized, tmp_path, precision="float16")
    assert "trained for int8" in line
    with pytest.raises(ValueError, match=r"must end in \.onnx, not 'net\.tflite'"):
        export_onnx(model, tmp_path / "net.tflite", input_shape=SIZE)


def test_a_model_of_the_other_scheme(model, quantized, tmp_path):
    other = quantize_aware(model, representative_data=IMAGES, input_shape=SIZE)
    line = refusal(other, tmp_path, precision="int8")
    assert "scheme='litert', for .tflite files" in line
    assert "needs scheme='tensorrt'" in line
    with pytest.raises(ValueError, match=r"scheme='tensorrt', for \.onnx files"):
        export_tflite(
            quantized, tmp_path / "a.tflite", input_shape=SIZE, precision="int8"
        )


def test_an_operation_without_a_rule(tmp_path):
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(4, 1, name="conv")(image)
    x = keras.ops.roll(x, 1, 1)
    network = keras.Model(image, keras.layers.Conv2D(3, 1)(x))
    line = refusal(network, tmp_path)
    assert "Roll" in line
    assert "no rule in the export to ONNX" in line


def test_a_file_that_computes_something_else(model, tmp_path, monkeypatch):
    from keras_frm.export.onnx import operations

    def wrong(writer, call):
        return call.x

    monkeypatch.setitem(operations.EMITTERS, "Relu", wrong)
    line = refusal(model, tmp_path, ExportError)
    assert "keeps the model's class on" in line


def test_a_network_that_mixes_a_batch(tmp_path):
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(3, 3, padding="same")(image)
    rows = keras.ops.reshape(x, (SIZE[0], SIZE[1], 3))
    x = keras.ops.add(x, keras.ops.expand_dims(rows, 0))
    network = keras.Model(image, x)
    line = refusal(network, tmp_path, batch=None)
    assert "export with batch=1" in line


def network_of(*nodes, constants=(), opset=17, uint8=False):
    kind = TensorProto.UINT8 if uint8 else TensorProto.FLOAT
    shape = (1, 3, 8, 8)
    return onnx_files.model(
        nodes, ("image", kind, shape), ("y", kind, shape), constants, opset
    )


def pair(zero, kind=np.int8, scale=0.5):
    """Both nodes, with a zero point."""
    constants = [
        numpy_helper.from_array(np.float32(scale), "scale"),
        numpy_helper.from_array(np.asarray(zero, kind), "zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], name="dq"),
    ]
    return network_of(*nodes, constants=constants)


def test_graphs_that_a_parser_would_refuse():
    check_model(pair(0))
    copy = helper.make_node("Identity", ["image"], ["y"], name="copy")
    relu = helper.make_node("Relu", ["image"], ["y"], name="relu")
    flip = helper.make_node("Transpose", ["image"], ["y"], perm=[0, 1, 2, 3], name="t")
    integers = numpy_helper.from_array(np.zeros((1, 3, 8, 8), np.int32), "i")
    scale = numpy_helper.from_array(np.float32(1), "scale")
    bias = helper.make_node("DequantizeLinear", ["i", "scale"], ["y"], name="bias")
    bad = {
        "zero point that is not zero": pair(5),
        "no zero point of int8": pair(128, np.uint8),
        "Identity 'copy' is no operation that TensorRT has": network_of(copy),
        "opset 20, above 19": network_of(relu, opset=20),
        "takes the image as uint8": network_of(flip, uint8=True),
        "takes int32": network_of(bias, constants=[integers, scale]),
        "no valid ONNX model": network_of(
            helper.make_node("Relu", ["nobody"], ["y"], name="relu")
        ),
    }
    for words, proto in bad.items():
        with pytest.raises(ExportError, match=words):
            check_model(proto)


def test_a_file_whose_images_meet():
    mean = helper.make_node("ReduceMean", ["float"], ["mean"], axes=[0], keepdims=1)
    cast = helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)
    result = helper.make_node("Sub", ["float", "mean"], ["y"])
    shape = ("b", *SIZE, 3)
    image, y = ("image", TensorProto.UINT8, shape), ("y", TensorProto.FLOAT, shape)
    with pytest.raises(ExportError, match="mixes the images"):
        check_batch(
            onnx_files.model([cast, mean, result], image, y).SerializeToString(),
            IMAGES[0],
        )
    fine = onnx_files.colour_scores(SIZE, "b", channels_first=False, uint8=True)
    check_batch(fine.SerializeToString(), IMAGES[0])


# === Command ===


def test_command(model, tmp_path):
    model.save(tmp_path / "net.keras")
    common = ("export", tmp_path / "net.keras")
    size = ("--size", "32", "48")
    result = keras_frm(*common, tmp_path / "net.onnx", *size, "--open-batch")
    assert result.code == 0, result
    assert "opset 17" in result.out
    assert check_onnx((tmp_path / "net.onnx").read_bytes()).labels == CAMVID
    for out, options, words in (
        ("net.bin", (), "must end in .tflite or .onnx"),
        ("net.onnx", ("--keep-float", "x"), "keras-frm quantize"),
        ("net.tflite", ("--open-batch",), "--open-batch is for .onnx"),
        ("net.onnx", ("--precision", "dynamic"), "float32, float16, int8"),
    ):
        line = keras_frm(*common, tmp_path / out, *size, *options).line
        assert words in line
