""".onnx files of anybody in `Segmenter`: layouts, sizes, checks and what is refused."""

import sys

import numpy as np
import onnx
import onnx_files
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_files import colour_scores, model
from test_cli import keras_frm

from keras_frm.export.onnx.export import with_metadata
from keras_frm.labels import LabelSet
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.file_metadata import FileMetadata
from keras_frm.runtime.onnx.check import check_onnx
from keras_frm.runtime.onnx.protobuf import fields
from keras_frm.runtime.segmenter import Segmenter

pytest.importorskip("onnxruntime")

SIZE = (16, 24)
COLOURS = LabelSet("own", ("red", "green", "blue"), ((9, 0, 0), (0, 9, 0), (0, 0, 9)))


def about(**changes):
    settings = {
        "labels": COLOURS,
        "output": "logits",
        "output_stride": 1,
        "precision": "float32",
        "input_size": SIZE,
        "version": "0.1.0",
        "input_dtype": "uint8",
    }
    return FileMetadata(**{**settings, **changes})


def own_file(**changes):
    """The content of a file with metadata of this package."""
    proto = colour_scores(SIZE, channels_first=False, uint8=True)
    return with_metadata(proto, about(**changes))


@pytest.fixture
def opened(tmp_path):
    def open_content(content, **options):
        path = tmp_path / "net.onnx"
        path.write_bytes(
            content if isinstance(content, bytes) else content.SerializeToString()
        )
        return Segmenter(path, **options)

    return open_content


def image_of(size=SIZE):
    """Blocks of eight pixels in red, green or blue, and their classes."""
    classes = np.random.default_rng(0).integers(0, 3, (size[0] // 8, size[1] // 8))
    classes = classes.repeat(8, 0).repeat(8, 1)
    return (np.eye(3) * 200)[classes].astype(np.uint8), classes


# === What is taken ===


@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize("uint8", [True, False])
@pytest.mark.parametrize("batch", [1, "images"])
def test_layouts_and_types(channels_first, uint8, batch, opened):
    proto = colour_scores(SIZE, batch, channels_first=channels_first, uint8=uint8)
    segmenter = opened(proto, verify=False)
    image, classes = image_of()
    assert segmenter.input_size == SIZE
    assert segmenter.labels.classes == ("class 0", "class 1", "class 2")
    assert np.mean(segmenter(image) == classes) > (0.85 if channels_first else 0.99)
    assert segmenter.benchmark(1).fps > 0


def test_a_size_that_is_open(opened):
    with pytest.raises(ValueError, match=r"any size; pass size=\(height, width\)"):
        opened(colour_scores(), verify=False)
    segmenter = opened(colour_scores(), verify=False, size=(32, 40))
    assert segmenter.input_size == (32, 40)
    image, classes = image_of((32, 40))
    assert np.mean(segmenter(image) == classes) > 0.85


def test_another_size_than_the_file_has(opened):
    with pytest.raises(ModelFileError, match=r"images of \(16, 24\), not \(8, 8\)"):
        opened(colour_scores(SIZE), verify=False, size=(8, 8))


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT64])
def test_a_mask(kind, opened):
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["float"], ["ids"], axis=3, keepdims=0),
        helper.make_node("Cast", ["ids"], ["mask"], to=kind),
    ]
    shape = (1, *SIZE, 3)
    proto = model(nodes, ("image", TensorProto.UINT8, shape), ("mask", kind, shape[:3]))
    image, classes = image_of()
    np.testing.assert_array_equal(opened(proto, verify=False)(image), classes)


def test_what_a_file_says_of_itself(opened):
    segmenter = opened(own_file(), verify=False)
    assert segmenter.metadata == about()
    assert segmenter.labels == COLOURS
    assert segmenter.runtime == "onnxruntime"
    image, classes = image_of()
    np.testing.assert_array_equal(segmenter(image), classes)
    np.testing.assert_allclose(segmenter.scores(image).sum(-1), 1, rtol=1e-5)


def test_the_file_is_tried_apart_first(opened):
    segmenter = opened(own_file())
    image, classes = image_of()
    np.testing.assert_array_equal(segmenter(image), classes)


def test_open_vino_gives_the_same(opened):
    pytest.importorskip("openvino")
    image, classes = image_of()
    segmenter = opened(own_file(), provider="openvino")
    assert segmenter.runtime == "openvino"
    np.testing.assert_array_equal(segmenter(image), classes)


# === What is refused ===


def refused(content):
    with pytest.raises(ModelFileError) as caught:
        check_onnx(content)
    return str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PNG", b"\x08", b"\x08\x07", bytes(100)])
def test_no_onnx_file(content):
    assert refused(content) == "it is no .onnx file"


def test_a_cut_file():
    content = own_file()
    graph = next(f for f in fields(memoryview(content)) if f.number == 7)
    assert refused(content[: graph.end - 5]) == "it is no .onnx file"
    # The end of the metadata is missing.
    assert refused(content[:-5])


def test_a_file_that_was_changed():
    content = own_file()
    place = content.index(b"float") + 2
    changed = content[:place] + b"X" + content[place + 1 :]
    assert "changed after export" in refused(changed)
    assert check_onnx(content) == about()


def test_metadata_that_are_damaged():
    proto = onnx.ModelProto.FromString(own_file())
    (entry,) = (each for each in proto.metadata_props if "json" in each.key)
    entry.value = entry.value.replace('"logits"', '"nothing"')
    assert "metadata" in refused(proto.SerializeToString()) or "changed" in refused(
        proto.SerializeToString()
    )
    entry.value = "{"
    assert "metadata of the model is damaged" in refused(proto.SerializeToString())


def external(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def number():
    return numpy_helper.from_array(np.zeros(1, np.float32), "number")


def with_an_initializer(proto):
    proto.graph.initializer.append(external(number()))


def with_a_constant(proto):
    node = helper.make_node("Constant", [], ["number"], value=number())
    external(node.attribute[0].t)
    proto.graph.node.append(node)


def with_a_branch(proto):
    node = helper.make_node("Constant", [], ["number"], value=number())
    external(node.attribute[0].t)
    branch = helper.make_graph([node], "branch", [], [])
    proto.graph.node.append(
        helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    )


def with_a_function(proto):
    function = onnx.FunctionProto(name="f", domain="d")
    node = helper.make_node("Constant", [], ["number"], value=number())
    external(node.attribute[0].t)
    function.node.append(node)
    proto.functions.append(function)


@pytest.mark.parametrize(
    "add", [with_an_initializer, with_a_constant, with_a_branch, with_a_function]
)
def test_weights_in_another_file(add):
    proto = colour_scores(SIZE)
    add(proto)
    assert "another file" in refused(proto.SerializeToString())


def test_graphs_without_end():
    graph = helper.make_graph([], "inner", [], [])
    for _ in range(15):
        node = helper.make_node("If", ["x"], ["y"], then_branch=graph)
        graph = helper.make_graph([node], "outer", [], [])
    proto = helper.make_model(graph)
    assert "nested too deep" in refused(proto.SerializeToString())


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 5, 16, 24), (1, 5, 16, 24)), "not one RGB image"),
        (((2, 3, 16, 24), (2, 3, 16, 24)), "not one RGB image"),
        (((1, 3, 16), (1, 3, 16)), "not one RGB image"),
    ],
)
def test_no_segmentation_network(shapes, message, opened):
    node = helper.make_node("Identity", ["image"], ["y"])
    proto = model(
        [node],
        ("image", TensorProto.FLOAT, shapes[0]),
        ("y", TensorProto.FLOAT, shapes[1]),
    )
    with pytest.raises(ModelFileError, match=message):
        opened(proto, verify=False)


def test_an_output_that_is_no_map(opened):
    node = helper.make_node("ReduceMean", ["image"], ["y"], axes=[2, 3], keepdims=0)
    image = ("image", TensorProto.FLOAT, (1, 3, *SIZE))
    proto = model([node], image, ("y", TensorProto.FLOAT, (1, 3)))
    with pytest.raises(ModelFileError, match="no mask and no scores"):
        opened(proto, verify=False)


def test_an_operation_of_nobody(opened):
    node = helper.make_node("Unheard", ["image"], ["y"], domain="nobody")
    shape = (1, 3, *SIZE)
    image, result = (
        ("image", TensorProto.FLOAT, shape),
        ("y", TensorProto.FLOAT, shape),
    )
    proto = model([node], image, result)
    proto.opset_import.append(helper.make_opsetid("nobody", 1))
    with pytest.raises(ModelFileError, match=r"net\.onnx': .*nobody") as caught:
        opened(proto)
    assert "\n" not in str(caught.value)


def test_a_file_that_wants_all_memory_is_refused_by_its_trial(opened):
    size = numpy_helper.from_array(np.array([2**40], np.int64), "size")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"]),
        helper.make_node("Add", ["image", "sum"], ["y"]),
    ]
    shape = (1, 3, *SIZE)
    image, result = (
        ("image", TensorProto.FLOAT, shape),
        ("y", TensorProto.FLOAT, shape),
    )
    with pytest.raises(ModelFileError):
        opened(model(nodes, image, result, [size]))


# === Providers ===


def test_a_provider_of_another_name(opened, tmp_path):
    content = own_file()
    with pytest.raises(ValueError, match=r"'gpu' .* cpu, cuda, tensorrt, openvino"):
        opened(content, provider="gpu")
    path = tmp_path / "net.onnx"
    path.rename(tmp_path / "net.tflite")
    with pytest.raises(ValueError, match=r"'cuda' runs .tflite .* cpu$"):
        Segmenter(tmp_path / "net.tflite", provider="cuda")


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there(provider, opened):
    with pytest.raises(ImportError, match=r"has no (CUDA|Tensorrt)ExecutionProvider"):
        opened(own_file(), provider=provider)


@pytest.mark.parametrize(
    ("provider", "package"), [("cpu", "onnxruntime"), ("openvino", "openvino")]
)
def test_a_runtime_that_is_not_there(provider, package, opened, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"Run: pip install {package}"):
        opened(own_file(), provider=provider)


# === Commands ===


def test_predict(tmp_path):
    import cv2

    path = tmp_path / "net.onnx"
    path.write_bytes(own_file())
    image, _ = image_of((48, 64))
    cv2.imwrite(str(tmp_path / "street.png"), image)
    result = keras_frm(
        "predict", path, tmp_path / "street.png", "--out", tmp_path / "o"
    )
    assert result.code == 0, result
    assert (tmp_path / "o" / "street_overlay.png").is_file()
    line = keras_frm(
        *("predict", path, tmp_path / "street.png"),
        *("--out", tmp_path / "o", "--provider", "cuda"),
    ).line
    assert "CUDAExecutionProvider" in line
    path.write_bytes(own_file()[:-9])
    line = keras_frm("predict", path, tmp_path / "street.png").line
    assert "net.onnx" in line


def test_wire_format_ends():
    assert [f.number for f in fields(memoryview(b""))] == []
    for bad in (b"\x80", b"\x0a\x05ab", b"\x0b", b"\x08" + b"\xff" * 11):
        with pytest.raises(ValueError, match=r"end|no kind"):
            list(fields(memoryview(bad)))
    assert onnx_files.OPSET == 17
