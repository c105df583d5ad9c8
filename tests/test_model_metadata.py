"""What a .tflite file says to MediaPipe and to apps that call it by names."""

import io
import struct
import zipfile

import numpy as np
import pytest
from test_export import export_own, noise
from tflite_files import SIZE, float_logits, int8_logits, uint8_mask

from keras_frm.export.tflite.interface import with_interface
from keras_frm.export.tflite.model_metadata import model_metadata
from keras_frm.labels import LabelSet
from keras_frm.runtime.backends.litert import load_interpreter
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.file_metadata import FileMetadata
from keras_frm.runtime.segmenter import Segmenter
from keras_frm.runtime.tflite.check import check_tflite
from keras_frm.runtime.tflite.flatbuffer import Table
from keras_frm.runtime.tflite.metadata_zip import attach, is_unchanged

NAMES = ("Straße, naß", "道路 🚗", 'it\'s "sky"')
LABELS = LabelSet("own", NAMES, ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
MAKERS = {"mask": uint8_mask, "logits": float_logits, "scores": int8_logits}


def about(output):
    return FileMetadata(LABELS, output, 1, "float32", SIZE, "0.1.0")


def described(output):
    """A file as an export writes it."""
    return attach(with_interface(MAKERS[output](), about(output)), about(output))


def entries(content):
    """Metadata of a flatbuffer: name -> content."""
    model = Table.root(content, b"TFL3")
    buffers = model.tables(4)
    return {
        entry.string(0): buffers[entry.scalar(1, "I")].vector(0, "u1").tobytes()
        for entry in model.tables(6)
    }


def subgraph_of(content):
    """The description of a file's one graph, by MediaPipe's schema."""
    metadata = Table.root(entries(content)["TFLITE_METADATA"], b"M001")
    assert metadata.string(2) == "0.1.0"
    (subgraph,) = metadata.tables(3)
    return subgraph


@pytest.mark.parametrize("output", ["logits", "scores"])
def test_images_go_in_as_they_are(output):
    (image,) = subgraph_of(described(output)).tables(2)
    assert image.string(0) == "image"
    content = image.table(3)
    assert content.scalar(0, "B") == 2  # ImageProperties
    assert content.table(1).scalar(0, "b") == 1  # RGB
    (unit,) = image.tables(4)
    assert unit.scalar(0, "B") == 1  # NormalizationOptions
    mean, deviation = (unit.table(1).vector(field, "<f4") for field in (0, 1))
    assert (mean.tolist(), deviation.tolist()) == ([0], [1])
    largest, smallest = (image.table(5).vector(field, "<f4") for field in (0, 1))
    assert (largest.tolist(), smallest.tolist()) == ([255], [0])


@pytest.mark.parametrize(
    ("output", "kind"), [("mask", 3), ("logits", 2), ("scores", 2)]
)
def test_labels_are_those_of_the_zip(output, kind):
    content = described(output)
    (result,) = subgraph_of(content).tables(3)
    assert result.string(0) == output
    (file,) = result.tables(6)
    assert file.scalar(2, "b") == kind  # of values, or along the axis
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.getinfo(file.string(0)).compress_type == zipfile.ZIP_STORED
        names = archive.read(file.string(0)).decode().split("\n")
    assert names == [*NAMES, ""]


@pytest.mark.parametrize(("output", "activation"), [("logits", 2), ("scores", 0)])
def test_confidences_are_a_softmax_of_logits_alone(output, activation):
    (custom,) = subgraph_of(described(output)).tables(9)
    assert custom.string(0) == "SEGMENTER_METADATA"
    options = Table.root(custom.vector(1, "u1", 16).tobytes(), b"V001")
    assert options.scalar(0, "b") == activation


def test_the_input_of_a_mask_file_is_not_described():
    subgraph = subgraph_of(described("mask"))
    assert not subgraph.has(2)
    assert not subgraph.has(9)


@pytest.mark.parametrize("output", MAKERS)
def test_input_output_and_signature_have_names(output):
    interpreter = load_interpreter(described(output), 1)
    names = {"inputs": ["image"], "outputs": [output]}
    assert interpreter.get_signature_list() == {"serving_default": names}
    assert interpreter.get_input_details()[0]["name"] == "image"
    assert interpreter.get_output_details()[0]["name"] == output


@pytest.mark.parametrize("output", MAKERS)
def test_a_file_computes_what_it_did(output, tmp_path):
    masks = []
    for content in (attach(MAKERS[output](), about(output)), described(output)):
        (tmp_path / "own.tflite").write_bytes(content)
        segmenter = Segmenter(tmp_path / "own.tflite", verify=False)
        masks.append(segmenter(noise(1, SIZE)[0]))
    np.testing.assert_array_equal(*masks)
    assert segmenter.labels == LABELS


def test_what_the_converter_says_stays():
    before, after = entries(float_logits()), entries(described("logits"))
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"TFLITE_METADATA"}


def test_the_checksum_covers_the_metadata():
    content = described("logits")
    assert is_unchanged(content)
    place = content.index(model_metadata(about("logits")))
    changed = bytearray(content)
    deviation = content.index(struct.pack("<If", 1, 1.0), place) + 4
    struct.pack_into("<f", changed, deviation, 2.0)
    with pytest.raises(ModelFileError, match="changed after export"):
        check_tflite(bytes(changed))


def test_the_same_file_gives_the_same_bytes():
    assert described("logits") == described("logits")


# === The real one, where it is installed ===


@pytest.fixture
def mediapipe():
    """The package, which is no dependency."""
    return pytest.importorskip("mediapipe")


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("output", ["logits", "scores"])
def test_mediapipe_gives_the_mask_of_the_segmenter(
    precision, output, mediapipe, tmp_path
):
    path = tmp_path / "own.tflite"
    export_own(path, output=output, precision=precision, labels=LABELS)
    segmenter, image = Segmenter(path), noise()[0]
    names, mask, confidences = mediapipe_result(mediapipe, path, image)
    assert tuple(names) == NAMES
    np.testing.assert_array_equal(mask, segmenter(image))
    np.testing.assert_allclose(confidences, segmenter.scores(image), atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_mediapipe_refuses_masks(precision, mediapipe, tmp_path):
    path = tmp_path / "own.tflite"
    export_own(path, precision=precision)
    with pytest.raises(ValueError, match="out of range"):
        mediapipe_result(mediapipe, path, noise()[0])


def mediapipe_result(mediapipe, path, image):
    """Labels, (H, W) classes and (H, W, C) confidences by MediaPipe."""
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(path)),
        output_category_mask=True,
        output_confidence_masks=True,
    )
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        picture = mediapipe.Image(mediapipe.ImageFormat.SRGB, image)
        result = segmenter.segment(picture)
        size = image.shape[:2]
        masks = [mask.numpy_view().reshape(size) for mask in result.confidence_masks]
        classes = result.category_mask.numpy_view().reshape(size).copy()
        return segmenter.labels, classes, np.stack(masks, -1)
