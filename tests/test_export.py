"""Files for devices: what they hold, what they say, and what is refused."""

import io
import itertools
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tflite_files
from ai_edge_litert import schema_py_generated as schema
from test_cli import keras_frm
from tiny import tiny_model

from keras_frm import __version__
from keras_frm.data.representative import images_of, scenes
from keras_frm.export.samples import take_samples
from keras_frm.export.tflite.checks import (
    ExportError,
    check_integers,
    check_operations,
    operations,
)
from keras_frm.export.tflite.export import export_tflite
from keras_frm.files import write_png
from keras_frm.labels import CAMVID, LabelSet
from keras_frm.runtime.backends.litert import load_interpreter
from keras_frm.runtime.segmenter import Segmenter
from keras_frm.runtime.tflite import metadata_zip
from keras_frm.targets import precisions_of
from keras_frm.training import run_folder

SIZE = (64, 96)
FLOATS = ("float32", "float16", "dynamic")
PRECISIONS = precisions_of("tflite")


@pytest.fixture(scope="module")
def model():
    """A tiny network whose classes all occur."""
    keras.utils.set_random_seed(0)
    built = tiny_model()
    logits = np.asarray(built(np.stack(scenes(SIZE, 4)).astype("float32")))
    classifier = built.network.get_layer("classifier")
    classifier.bias.assign_sub(np.median(logits, axis=(0, 1, 2)))
    return built


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """A function from a precision to the report of a file, exported once."""
    folder = tmp_path_factory.mktemp("exported")
    reports = {}

    def export(precision):
        if precision not in reports:
            reports[precision] = export_tflite(
                model,
                folder / f"{precision}.tflite",
                input_shape=SIZE,
                precision=precision,
                representative_data=scenes(SIZE, 6),
                min_agreement=0.5,
                provenance={"run": "a test"},
            )
        return reports[precision]

    return export


def tensors_of(content):
    """The tensors and operations of a file: a list of (kind, inputs, outputs)."""
    read = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if k[0] != "_"}
    graph = read.subgraphs[0]
    rows = []
    for operator in graph.operators:
        kind = names[read.operatorCodes[operator.opcodeIndex].builtinCode]
        inputs, outputs = (
            [graph.tensors[i] for i in indices if i >= 0]
            for indices in (operator.inputs, operator.outputs)
        )
        rows.append((kind, inputs, outputs))
    return rows


def mask_of(model, image):
    """The class ids of the Keras model."""
    logits = model(image[None].astype("float32"), training=False)
    return np.asarray(logits).argmax(-1)[0]


# === Each precision ===


@pytest.mark.parametrize("precision", PRECISIONS)
def test_report_and_file(precision, exported):
    report = exported(precision)
    content = report.path.read_bytes()
    assert report.size == len(content)
    assert report.precision == precision
    # Of six images an integer file is calibrated on five.
    assert report.images == (4 if precision in FLOATS else 1)
    assert report.held_out is (None if precision in FLOATS else True)
    assert 0.5 < report.agreement <= report.sure_agreement <= 1
    assert report.output_stride == 1
    assert report.operations == operations(content)
    assert report.operations["CONV_2D"] > 10
    assert not {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "VAR_HANDLE"} & set(
        report.operations
    )
    text = str(report)
    assert precision in text
    assert str(report.path) in text
    assert f"{100 * report.agreement:.3f} % of pixels" in text
    assert f"{100 * report.sure_agreement:.3f} % of the sure ones" in text
    assert ("(4 images)" if precision in FLOATS else "not calibrated on") in text


@pytest.mark.parametrize("precision", PRECISIONS)
def test_metadata(precision, exported):
    content = exported(precision).path.read_bytes()
    about = metadata_zip.read(content)
    assert about.labels == CAMVID
    assert (about.output, about.output_stride) == ("mask", 1)
    assert (about.precision, about.input_size) == (precision, SIZE)
    assert about.input_dtype == ("float32" if precision in FLOATS else "uint8")
    assert about.version == __version__
    assert {"run", "model", "weights_sha256", "date"} <= set(about.provenance)
    assert about.provenance["run"] == "a test"
    assert metadata_zip.is_unchanged(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.read("labels.txt").decode().split("\n")[:-1]
    assert tuple(names) == CAMVID.classes


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_runs_by_the_names_of_its_signature(precision, exported):
    path = exported(precision).path
    run = load_interpreter(path.read_bytes(), 1).get_signature_runner()
    image = scenes(SIZE, 1)[0]
    dtype = np.float32 if precision in FLOATS else np.uint8
    np.testing.assert_array_equal(
        run(image=image[None].astype(dtype))["mask"][0], Segmenter(path)(image)
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_segmenter_gives_the_models_mask(precision, exported, model):
    report = exported(precision)
    segmenter = Segmenter(report.path, num_threads=1)
    assert segmenter.labels == CAMVID
    shares = []
    for image in scenes(SIZE, 9)[6:]:  # images that nothing was calibrated on
        mask = segmenter(image)
        assert (mask.shape, mask.dtype) == (SIZE, np.uint8)
        assert len(np.unique(mask)) > 1
        shares.append(np.mean(mask == mask_of(model, image)))
    least = {"float32": 0.999, "float16": 0.99, "dynamic": 0.85}
    assert np.mean(shares) >= least.get(precision, 0.75)


def test_float32_file_is_one_piece_for_xnnpack(exported):
    report = exported("float32")
    assert report.partitions == 1
    outside = set(report.outside_xnnpack)
    assert outside <= {"ARG_MAX", "CAST"}, outside


def test_smaller_weights_make_smaller_files(exported):
    size = {precision: exported(precision).size for precision in PRECISIONS}
    assert size["float16"] < size["float32"]
    assert size["dynamic"] < size["float32"]


@pytest.mark.parametrize("precision", ["int8", "int8_full"])
def test_int8_file_takes_and_gives_uint8(precision, exported):
    interpreter = load_interpreter(exported(precision).path.read_bytes(), 1)
    (taken,), (given,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    assert (taken["dtype"], given["dtype"]) == (np.uint8, np.uint8)
    np.testing.assert_allclose(taken["quantization"][0], 1, rtol=1e-5)
    assert taken["quantization"][1] == 0


@pytest.mark.parametrize("precision", FLOATS)
def test_float_files_take_float_images_and_give_uint8(precision, exported):
    interpreter = load_interpreter(exported(precision).path.read_bytes(), 1)
    assert interpreter.get_input_details()[0]["dtype"] == np.float32
    assert interpreter.get_output_details()[0]["dtype"] == np.uint8


def test_means_and_softmaxes_stay_float_in_an_int8_file(exported):
    rows = tensors_of(exported("int8").path.read_bytes())
    kinds = [kind for kind, _, _ in rows]
    assert kinds.count("SOFTMAX") == 2
    assert kinds.count("MEAN") >= 2
    for kind, inputs, outputs in rows:
        if kind in ("SOFTMAX", "MEAN", "BATCH_MATMUL", "RSQRT"):
            for tensor in (inputs[0], *outputs):
                assert tensor.type == schema.TensorType.FLOAT32, kind


def test_nothing_is_float_in_a_full_int8_file(exported):
    rows = tensors_of(exported("int8_full").path.read_bytes())
    kinds = [kind for kind, _, _ in rows]
    assert kinds.count("L2_NORMALIZATION") == 4
    assert kinds.count("BATCH_MATMUL") == 3
    assert not {"DEQUANTIZE", "SOFTMAX"} & set(kinds)
    tensors = [tensor for _, *both in rows for side in both for tensor in side]
    floats = {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16}
    assert not floats & {tensor.type for tensor in tensors}


def test_int8_file_is_refused_where_float_is(exported):
    with pytest.raises(ExportError, match="is float: an accelerator without float"):
        check_integers(exported("int8").path.read_bytes())


def test_convolutions_of_an_int8_file_are_int8(exported):
    """All but the one whose single channel a softmax in float reads."""
    rows = tensors_of(exported("int8").path.read_bytes())
    found = [row for row in rows if row[0] in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    assert len(found) > 20
    kinds = []
    for _, inputs, outputs in found:
        (kind,) = {tensor.type for tensor in (*inputs[:2], *outputs)}
        kinds.append((kind, outputs[0].shape[-1] == 1))
    assert set(kinds) == {
        (schema.TensorType.INT8, False),
        (schema.TensorType.FLOAT32, True),
    }
    assert kinds.count((schema.TensorType.FLOAT32, True)) == 1


def test_dilation_is_an_option_of_the_convolution(exported):
    content = exported("float32").path.read_bytes()
    read = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    options = [o.builtinOptions for o in read.subgraphs[0].operators]
    depthwise = [o for o in options if isinstance(o, schema.DepthwiseConv2DOptionsT)]
    assert max(o.dilationHFactor for o in depthwise) == 9


# === Options ===


def own_network(classes=3, size=(16, 24)):
    """A network that is not the package's, with logits at its input's size."""
    keras.utils.set_random_seed(0)
    x = keras.Input((*size, 3))
    y = keras.layers.Rescaling(1 / 127.5, -1)(x)
    y = keras.layers.Conv2D(8, 3, 4, "same")(y)
    y = keras.ops.relu(keras.layers.BatchNormalization()(y))
    y = keras.layers.Conv2D(classes, 1, name="classifier")(y)
    y = keras.ops.image.resize(y, size)
    return keras.Model(x, y, name="own")


def noise(count=2, size=(16, 24)):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(count)]


def export_own(path, *, network=None, **options):
    """Export the small network on noise."""
    options = {"input_shape": (16, 24), "representative_data": noise(), **options}
    return export_tflite(network or own_network(), path, **options)


@pytest.mark.parametrize("output", ["logits", "scores"])
@pytest.mark.parametrize("stride", [1, 4])
def test_logits_and_scores(output, stride, tmp_path):
    network = own_network()
    path = tmp_path / "new folder" / "own.tflite"
    export_own(path, network=network, output=output, output_stride=stride)
    about = metadata_zip.read(path.read_bytes())
    assert (about.output, about.output_stride) == (output, stride)
    assert about.labels.classes == ("class 0", "class 1", "class 2")
    assert about.provenance["model"] == "own"
    image = noise()[0]
    expected = np.asarray(keras.ops.softmax(network(image[None].astype("float32"))))
    scores = Segmenter(path).scores(image)
    if stride == 1:
        np.testing.assert_allclose(scores, expected[0], atol=1e-5)
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)
    (given,) = load_interpreter(path.read_bytes(), 1).get_output_details()
    assert tuple(given["shape"]) == (1, 16 // stride, 24 // stride, 3)


@pytest.mark.parametrize("output", ["logits", "scores"])
def test_logits_and_scores_of_a_full_int8_file(output, tmp_path):
    network = own_network()
    path = tmp_path / "own.tflite"
    export_own(path, network=network, output=output, precision="int8_full")
    (given,) = load_interpreter(path.read_bytes(), 1).get_output_details()
    assert given["dtype"] == np.uint8
    image = noise()[0]
    expected = np.asarray(keras.ops.softmax(network(image[None].astype("float32"))))
    np.testing.assert_allclose(Segmenter(path).scores(image), expected[0], atol=0.1)


def test_labels_and_provenance(tmp_path):
    labels = LabelSet("mine", ("road", "car", "sky"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    path = tmp_path / "own.tflite"
    export_own(path, labels=labels, provenance={"model": "renamed"})
    segmenter = Segmenter(path)
    assert segmenter.labels == labels
    assert segmenter.palette == labels.palette
    assert segmenter.metadata.provenance["model"] == "renamed"


@pytest.mark.parametrize(
    "options",
    [
        {"output_stride": 8},
        {"output": "classes"},
        {"precision": "int4"},
        {"labels": CAMVID},
        {"keep_float": ["a"]},
        {"input_shape": (16, 25)},
    ],
    ids=str,
)
def test_mistakes_are_found_before_an_image_is_read(options, tmp_path):
    untouched = iter(noise(3))
    with pytest.raises(ValueError, match=r"\w"):
        export_own(tmp_path / "a.tflite", representative_data=untouched, **options)
    assert len(list(untouched)) == 3


@pytest.mark.parametrize(
    ("given", "calibration", "checked"),
    [(1, 1, 1), (2, 1, 1), (8, 6, 2), (50, 46, 4), (104, 100, 4), (300, 100, 4)],
)
def test_images_to_check_on_are_held_out(given, calibration, checked):
    images = [np.full((2, 2, 3), n % 250, np.uint8) for n in range(given)]
    samples = take_samples(images, (2, 2), calibrated=True)
    values = [
        [int(i[0, 0, 0]) for i in s] for s in (samples.calibration, samples.checked)
    ]
    assert values[0] == list(range(calibration))
    assert len(values[1]) == checked
    assert samples.held_out == (not set(values[0]) & set(values[1]))
    assert samples.held_out == (given > 1)
    without = take_samples(images, (2, 2), calibrated=False)
    assert (len(without.calibration), len(without.checked)) == (0, min(given, 4))


def test_single_image_is_calibrated_and_checked_on(tmp_path):
    options = {"precision": "int8", "representative_data": noise(1)}
    report = export_own(tmp_path / "a.tflite", **options)
    assert (report.images, report.held_out) == (1, False)
    assert "(1 image, also calibrated on)" in str(report)


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "own.tflite"
    path.write_bytes(b"old")
    export_own(str(path))
    assert metadata_zip.is_unchanged(path.read_bytes())
    assert list(tmp_path.iterdir()) == [path]


def test_export_of_int8_tells_its_progress_and_keeps_names_in_float(tmp_path):
    done = []
    network = own_network()
    report = export_own(
        tmp_path / "own.tflite",
        network=network,
        precision="int8",
        representative_data=[(np.stack(noise(3)), np.zeros((3, 16, 24)))],
        keep_float=["classifier"],
        min_agreement=0.5,
        progress=lambda count, total: done.append(count),
    )
    assert done == [1, 2]  # the third is for the check
    rows = tensors_of(report.path.read_bytes())
    last = [row for row in rows if row[0] == "CONV_2D"][-1]
    assert last[2][0].type == schema.TensorType.FLOAT32
    first = next(row for row in rows if row[0] == "CONV_2D")
    assert first[2][0].type == schema.TensorType.INT8


def test_exporting_leaves_the_model_as_it_was(tmp_path):
    network = own_network()
    before = network.get_weights()
    config = network.get_config()
    export_own(tmp_path / "own.tflite", network=network)
    assert network.get_config() == config
    for weight, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


# === Mistakes ===


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"precision": "int4"}, "no precision 'int4'. Choose one of: float32"),
        ({"output": "classes"}, "no output 'classes'. Choose one of: mask"),
        ({"output_stride": 2}, "'own' have stride 4; pass 1 or 4"),
        ({"output_stride": 8}, "output_stride=8 cannot be had"),
        ({"precision": "int8", "representative_data": None}, "representative_data: im"),
        ({"precision": "int8_full", "keep_float": ["a"]}, "leaves nothing in float"),
        ({"keep_float": ["a"]}, "computes everything in float, so it takes no keep_fl"),
        ({"precision": "dynamic", "keep_float": ["a"]}, "Use precision='int8'"),
        ({"representative_data": []}, "representative_data holds no image"),
        ({"representative_data": iter(())}, "representative_data holds no image"),
        ({"representative_data": [np.full((9, 9, 3), 256)]}, r"numbers in \[0, 255\]"),
        ({"representative_data": [np.full((9, 9, 3), -1)]}, r"numbers in \[0, 255\]"),
        ({"representative_data": [np.full((9, 9, 3), np.nan)]}, r"in \[0, 255\]"),
        ({"representative_data": [np.zeros((9, 9))]}, r"Received shape: \(9, 9\)"),
        ({"representative_data": [np.zeros((9, 9, 4))]}, r"shape: \(9, 9, 4\)"),
        ({"input_shape": (16, 25)}, r"input_shape=\(16, 25, 3\) does not fit"),
        ({"input_shape": (16, 24, 1)}, r"input_shape=\(16, 24, 1\) does not fit"),
        ({"labels": CAMVID}, "11 classes; the model has 3"),
    ],
)
def test_wrong_arguments(options, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        export_own(tmp_path / "own.tflite", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["own.keras", "own", "own.TFLITE.bak"])
def test_wrong_suffix(name, tmp_path):
    with pytest.raises(ValueError, match=f"must end in .tflite, not '{name}'"):
        export_own(tmp_path / name)


def test_file_that_disagrees_is_not_written(tmp_path):
    path = tmp_path / "own.tflite"
    path.write_bytes(b"old")
    match = r"float32 file keeps the model's class on 100.00 %.*min_agreement=1.01"
    with pytest.raises(ExportError, match=match):
        export_own(path, min_agreement=1.01)
    assert [file.name for file in tmp_path.iterdir()] == ["own.tflite"]
    assert path.read_bytes() == b"old"


def test_sample_images_are_resized_and_counted():
    data = [(np.full((2, 8, 12, 3), 7.0), np.zeros((2, 8, 12))), np.zeros((4, 6, 3))]
    found = images_of(data, (4, 6), 9)
    assert [(i.shape, i.dtype, i.max()) for i in found] == [
        ((4, 6, 3), np.uint8, 7),
        ((4, 6, 3), np.uint8, 7),
        ((4, 6, 3), np.uint8, 0),
    ]
    endless = itertools.repeat(np.zeros((4, 6, 3)))
    assert len(images_of(endless, (4, 6), 3)) == 3


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bool"])
@pytest.mark.parametrize("size", [(4, 6), (2, 2)], ids=["same size", "resized"])
def test_sample_image_in_fractions_of_one(dtype, size):
    """It would become black, and ranges and agreement those of black images."""
    image = np.zeros((4, 6, 3), dtype)
    image[1, 2] = 1 if dtype == "bool" else 0.75
    with pytest.raises(ValueError, match=r"Image 2 .* multiply by 255") as caught:
        images_of([np.full((2, 4, 6, 3), 9), image], size, 9)
    assert "\n" not in str(caught.value)
    assert f"{dtype} numbers from 0 to {image.max():g}" in str(caught.value)


def test_sample_image_that_is_really_dark():
    dark = np.zeros((4, 6, 3), np.uint8)
    dark[1, 2] = 1
    (found,) = images_of([dark], (4, 6), 9)
    np.testing.assert_array_equal(found, dark)


# === check_operations ===


def flex_file():
    """A file with an operation that is TensorFlow's own."""
    function = tf.function(
        lambda x: tf.raw_ops.Betainc(a=x, b=x, x=x),
        input_signature=[tf.TensorSpec((1, 4), tf.float32)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()]
    )
    converter.allow_custom_ops = True
    return converter.convert()


def variable_file():
    """A file that counts its calls."""

    class Counter(tf.Module):
        def __init__(self):
            self.count = tf.Variable(0.0)

        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
        def run(self, x):
            return x + self.count.assign_add(1.0)

    counter = Counter()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [counter.run.get_concrete_function()], counter
    )
    converter.experimental_enable_resource_variables = True
    return converter.convert()


def space_to_batch_file():
    return tflite_files.convert(
        lambda x: tf.space_to_batch_nd(x, [2, 2], [[0, 0], [0, 0]]), 1, 4, 4, 1
    )


def dynamic_file():
    return tflite_files.convert(lambda x: tf.nn.relu(x), None, 4, 4, 3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (flex_file, "operation 'Betainc', which the plain LiteRT runtime lacks"),
        (variable_file, "VAR_HANDLE|READ_VARIABLE|ASSIGN_VARIABLE"),
        (space_to_batch_file, "SPACE_TO_BATCH_ND: a dilated convolution"),
        (dynamic_file, "has no fixed shape: delegates need static shapes"),
    ],
    ids=["flex", "variable", "space to batch", "dynamic"],
)
def test_refused_files(make, match):
    with pytest.raises(ExportError, match=match):
        check_operations(make())


def test_accepted_file():
    content = tflite_files.float_logits()
    check_operations(content)
    assert operations(content)["CONV_2D"] == 3


# === The command and the script ===


@keras.saving.register_keras_serializable(package="test_export")
class Foreign(keras.layers.Layer):
    """A layer that another process does not know."""

    def call(self, x):
        return x


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "own.keras"
    own_network(11).save(path)
    return path


def test_command(saved, tmp_path):
    out = tmp_path / "own.tflite"
    done = keras_frm(
        "export",
        saved,
        out,
        "--size",
        16,
        24,
        "--preset",
        "camvid",
        "--output-stride",
        4,
    )
    assert done.code == 0, done.err
    assert "same class as the Keras model" in done.out
    about = metadata_zip.read(out.read_bytes())
    assert about.labels.classes == CAMVID.classes
    assert about.provenance["source"] == "own.keras"
    assert about.output_stride == 4


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("missing", "a.tflite", "--size", 16, 24), "missing"),
        (
            ("{saved}", "a.tflite", "--size", 16, 24, "--data", "."),
            "--data needs --preset",
        ),
        (("{saved}", "a.tflite", "--size", 16, 24, "--precision", "int4"), "'int4'"),
        (
            ("{saved}", "a.tflite", "--size", 16, 24, "--precision", "int8"),
            "needs --preset and --data",
        ),
        (("{saved}", "a.tflite", "--size", 0, 24), "size"),
        (("{saved}", "a.tflite"), "size"),
        (("{saved}", "a.txt", "--size", 16, 24), "must end in .tflite"),
        (("{saved}", "a.tflite", "--size", 16, 24, "--preset", "moon"), "moon"),
    ],
)
def test_command_with_a_mistake(arguments, match, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [saved if word == "{saved}" else word for word in arguments]
    options = () if "--preset" in arguments or "." in arguments else ("--preset",)
    options = (*options, "camvid") if options else ()
    assert match in keras_frm("export", *arguments, *options).line
    assert list(tmp_path.iterdir()) == []


def test_command_without_classes_numbers_them(saved, tmp_path):
    out = tmp_path / "own.tflite"
    done = keras_frm("export", saved, out, "--size", 16, 24)
    assert done.code == 0, done.err
    assert "names no classes, so they get numbers; --preset names them" in done.err
    assert metadata_zip.read(out.read_bytes()).labels.classes[:2] == (
        "class 0",
        "class 1",
    )


def test_help_names_every_precision():
    text = keras_frm("export", "--help").out
    assert all(precision in text for precision in PRECISIONS)


def script(*arguments):
    """Run converters/keras_to_tflite.py."""
    path = Path(__file__).parents[1] / "converters" / "keras_to_tflite.py"
    return subprocess.run(
        [sys.executable, path, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_script_calibrates_on_a_folder_of_images(saved, tmp_path):
    for number, image in enumerate(noise(4)):
        write_png(tmp_path / "images" / f"{number}.png", image)
    out = tmp_path / "own.tflite"
    done = script(
        *(saved, out, "--size", 16, 24, "--precision", "int8"),
        *("--images", tmp_path / "images"),
    )
    assert done.returncode == 0, done.stderr
    assert "int8" in done.stdout
    assert "not calibrated on" in done.stdout
    assert Segmenter(out)(noise()[0]).shape == (16, 24)


@pytest.mark.slow
def test_script_on_the_last_file_of_a_run(tmp_path):
    """It holds the whole training state, with an optimizer and a loss."""
    model = tiny_model()
    model.compile()
    model.fit(np.zeros((2, 32, 32, 3)), np.zeros((2, 32, 32), "uint8"), verbose=0)
    with run_folder.new_run(tmp_path / "run", {}, CAMVID):
        model.save(tmp_path / "run" / "last.keras")
    out = tmp_path / "own.tflite"
    done = script(tmp_path / "run" / "last.keras", out, "--size", 32, 32)
    assert done.returncode == 0, done.stderr
    assert metadata_zip.read(out.read_bytes()).labels.classes == CAMVID.classes


@pytest.mark.slow
def test_script_says_in_one_line_what_is_wrong(tmp_path):
    """Keras repeats the whole configuration of what it cannot load."""
    image = keras.Input((8, 8, 3))
    path = tmp_path / "foreign.keras"
    keras.Model(image, Foreign()(image)).save(path)
    done = script(path, tmp_path / "a.tflite", "--size", 8, 8)
    assert done.returncode == 1
    (line,) = [
        x
        for x in done.stderr.splitlines()
        if x.startswith("keras-frm: ") and "numbers" not in x
    ]
    assert "foreign.keras cannot be loaded as a model" in line
    assert len(line) < 600
    assert "Traceback" not in done.stderr
