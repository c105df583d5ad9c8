import csv
import dataclasses
import math
import warnings

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import toy_model

from keras_frm.data.kept_labels import keep_labels
from keras_frm.evaluation import cityscapes_server, report
from keras_frm.evaluation.confusion_plot import confusion_picture
from keras_frm.evaluation.evaluate import evaluate
from keras_frm.evaluation.predictors import multi_scale, sliding_window, whole_image
from keras_frm.evaluation.report import Evaluation
from keras_frm.files import write_bytes
from keras_frm.labels import CITYSCAPES, LabelSet
from keras_frm.metrics import confusion_matrix, iou_from_confusion
from keras_frm.presets import PRESETS

COLOURS = LabelSet(
    "colours", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))
)

THREE = LabelSet("three", ("sky", "road", "car"), COLOURS.palette)


def strongest_channel_model(size=(None, None)):
    """A model whose class is the strongest of R, G, B: one 1x1 convolution."""
    model = keras.Sequential(
        [keras.Input((*size, 3)), keras.layers.Conv2D(3, 1, use_bias=False)]
    )
    model.set_weights([np.eye(3, dtype=np.float32)[None, None]])
    return model


def strongest_channel(image):
    return image.argmax(-1).astype(np.uint8)


def pairs(*sizes, seed=0):
    """Random images, and labels that agree with most of them."""
    rng = np.random.default_rng(seed)
    for size in sizes:
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        label = strongest_channel(image)
        changed = rng.random(size)
        label[changed < 0.3] = 1
        label[changed > 0.9] = 255
        yield image, label


def expected(data):
    counts = (confusion_matrix(y, strongest_channel(x), 3) for x, y in data)
    return sum(counts)


@pytest.mark.parametrize("kind", ["model", "callable"])
def test_counts_over_images_of_many_sizes(kind):
    data = list(pairs((5, 7), (8, 3), (1, 1), (6, 6)))
    model = strongest_channel_model() if kind == "model" else strongest_channel
    result = evaluate(model, data, labels=COLOURS)
    np.testing.assert_array_equal(result.confusion, expected(data))
    assert result.confusion.dtype == np.int64
    np.testing.assert_array_equal(result.iou, iou_from_confusion(expected(data)))
    assert 0.3 < result.mean_iou < 0.9
    assert result.images == 4
    assert result.labels is COLOURS


def test_tf_dataset_batched_float_images_and_channel_labels():
    data = list(pairs((6, 8), (6, 8), (6, 8)))
    images = np.stack([image for image, _ in data]).astype(np.float32)
    labels = np.stack([label for _, label in data])[..., None]
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
    calls = []
    result = evaluate(
        strongest_channel_model(), dataset, progress=lambda *call: calls.append(call)
    )
    np.testing.assert_array_equal(result.confusion, expected(data))
    assert calls == [(1, 2), (2, 2)]
    assert result.labels.classes == ("class 0", "class 1", "class 2")
    assert len(set(result.labels.palette)) == 3


def test_names_of_the_classes_are_the_datasets_then_the_models_then_numbers():
    data = list(pairs((6, 8), (6, 8)))
    images, labels = (np.stack(part) for part in zip(*data, strict=True))
    plain = tf.data.Dataset.from_tensor_slices((images, labels)).batch(1)
    labelled = keep_labels(plain.take(2), COLOURS)
    chosen = dataclasses.replace(PRESETS["camvid"], name="three", labels=THREE)
    model = toy_model(preset=chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate(model, labelled.take(1)).labels is COLOURS
        assert evaluate(model, plain).labels.classes == THREE.classes
    # CamVid has 11 classes and this network 3; a Sequential model has no preset.
    for nameless in (toy_model(preset="camvid"), strongest_channel_model()):
        with pytest.warns(UserWarning, match="names of its 3 classes.*pass labels="):
            result = evaluate(nameless, plain)
        assert result.labels.classes == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_images_in_0_1_are_refused(dtype):
    (image, label), *_ = pairs((6, 8))
    unit = [((image / 255).astype(dtype), label)]
    for model in (toy_model(), lambda image: label):
        with pytest.raises(ValueError, match=rf"{dtype} numbers up to .*by 255"):
            evaluate(model, unit, labels=THREE)


def test_the_first_image_that_is_not_black_decides():
    (image, label), *_ = pairs((6, 8))
    black, levels = np.zeros_like(image, "float32"), image.astype("float32")
    model = toy_model()
    night = levels / 255  # a later image may be as dark as that
    assert (
        evaluate(model, [(black, label), (levels, label), (night, label)]).images == 3
    )
    assert evaluate(model, [(image // 255, label)]).images == 1
    with pytest.raises(ValueError, match="by 255"):
        evaluate(model, [(black, label), (night, label)])


def test_few_traces_for_many_sizes():
    calls = []

    class Counting(keras.layers.Layer):
        def call(self, images):
            calls.append(images.shape)  # runs when traced only
            return images

    data = list(pairs(*[(4 + n, 9 - n) for n in range(6)]))
    model = keras.Sequential([Counting()])
    evaluate(model, data, labels=COLOURS)
    assert len(calls) <= 4


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "slide", "window": (4, 4), "stride": (3, 2)},
        {"mode": "slide", "window": (16, 16)},
        {"flip": True},
        {"mode": "slide", "window": (5, 3), "scales": (1.0,), "flip": True},
    ],
    ids=["overlap", "window larger than image", "flip", "slide and flip"],
)
def test_modes_agree_for_a_pixelwise_model(options):
    data = list(pairs((9, 7), (4, 4)))
    result = evaluate(strongest_channel_model(), data, **options)
    np.testing.assert_array_equal(result.confusion, expected(data))


def test_scales_average_over_smooth_images():
    image = np.zeros((16, 20, 3), np.uint8)
    image[:, :10, 0] = image[:, 10:, 2] = 200
    label = strongest_channel(image)
    model = strongest_channel_model()
    result = evaluate(model, [(image, label)], scales=(0.5, 1, 2), flip=True)
    assert result.mean_iou == 1


def test_fixed_size_model_slides_over_any_size():
    data = list(pairs((9, 7), (3, 12)))
    model = strongest_channel_model(size=(4, 4))
    result = evaluate(model, data, mode="slide")
    np.testing.assert_array_equal(result.confusion, expected(data))
    with pytest.raises(ValueError, match=r"4x4 only and got 9x7.*mode='slide'"):
        evaluate(model, data)


def test_predictions_are_saved_and_handed_over(tmp_path):
    data = list(pairs((5, 7), (4, 6)))
    seen = []
    evaluate(
        strongest_channel_model(),
        data,
        save_predictions=tmp_path / "masks",
        on_image=lambda *call: seen.append(call),
    )
    files = sorted((tmp_path / "masks").iterdir())
    assert [file.name for file in files] == ["000000.png", "000001.png"]
    for position, (file, (image, label)) in enumerate(zip(files, data, strict=True)):
        saved = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(saved, strongest_channel(image))
        assert seen[position][0] == position
        np.testing.assert_array_equal(seen[position][2], label)
        np.testing.assert_array_equal(seen[position][3], saved)


def test_labels_of_the_dataset_are_the_default():
    class Data(list):
        labels = COLOURS

    data = Data(pairs((4, 4)))
    assert evaluate(strongest_channel, data).labels is COLOURS


def test_classes_of_a_models_preset():
    image, label = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    model = toy_model(11, preset="camvid")
    assert evaluate(model, [(image, label)]).labels.classes[0] == "sky"
    labels = evaluate(model.network, [(image, label)]).labels
    assert labels.classes[0] == "class 0"


def test_windows_of_a_model_around_a_network_of_one_size():
    fixed = keras.Input((16, 16, 3))
    model = toy_model(3)
    model.network = keras.Model(fixed, model.network(fixed))
    image, label = np.zeros((20, 40, 3), np.uint8), np.zeros((20, 40), np.uint8)
    with pytest.raises(ValueError, match=r"16x16 only .*use mode='slide', window="):
        evaluate(model, [(image, label)])
    assert evaluate(model, [(image, label)], mode="slide").confusion.sum() == 800


def test_all_pixels_ignored(tmp_path):
    image = np.zeros((3, 3, 3), np.uint8)
    result = evaluate(
        strongest_channel_model(), [(image, np.full((3, 3), 255))], labels=COLOURS
    )
    assert np.isnan(result.iou).all()
    scores = (result.mean_iou, result.mean_accuracy, result.pixel_accuracy)
    assert all(map(math.isnan, scores))
    assert "all pixels of the 1 images" in result.note
    assert result.note in report.to_text(result)
    assert "nan" not in report.to_csv(result)
    report.save(result, tmp_path)


@pytest.mark.parametrize("empty", [[], iter(())])
def test_empty_dataset(empty):
    with pytest.raises(ValueError, match="dataset is empty"):
        evaluate(strongest_channel, empty, labels=COLOURS)


def test_endless_dataset():
    dataset = tf.data.Dataset.from_tensors(next(pairs((4, 4)))).repeat()
    with pytest.raises(ValueError, match="without end"):
        evaluate(strongest_channel_model(), dataset)


def test_wrong_class_count_stops_at_the_first_image():
    seen = []
    with pytest.raises(ValueError, match="3 classes, label set 'cityscapes' has 19"):
        evaluate(
            strongest_channel_model(),
            pairs(*[(4, 4)] * 3),
            labels=CITYSCAPES,
            on_image=lambda *call: seen.append(call),
        )
    assert not seen


@pytest.mark.parametrize(
    "options", [{"mode": "slide"}, {"flip": True}, {"scales": (0.5, 1.0)}]
)
def test_callables_have_no_scores(options):
    with pytest.raises(ValueError, match="no scores to average"):
        evaluate(strongest_channel, pairs((4, 4)), labels=COLOURS, **options)


def test_callable_needs_labels():
    with pytest.raises(ValueError, match="pass labels="):
        evaluate(strongest_channel, pairs((4, 4)))


def test_callable_gets_uint8():
    dtypes = []

    def segment(image):
        dtypes.append(image.dtype)
        return strongest_channel(image)

    image, label = next(pairs((4, 4)))
    evaluate(segment, [(image.astype(np.float32), label)], labels=COLOURS)
    assert dtypes == [np.uint8]


IMAGE = np.zeros((4, 4, 3), np.uint8)
LABEL = np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    ("element", "message"),
    [
        ((IMAGE, LABEL[:3]), "do not fit"),
        ((IMAGE[..., :1], LABEL), "do not fit"),
        ((IMAGE, LABEL, LABEL), "pairs"),
        (IMAGE, "pairs"),
        ((IMAGE - 1.0, LABEL), r"RGB in \[0, 255\]"),
        ((IMAGE + 256.0, LABEL), r"RGB in \[0, 255\]"),
        ((IMAGE * np.nan, LABEL), r"RGB in \[0, 255\]"),
        ((IMAGE, LABEL + 3), r"Image 0 .* ids \[3\] outside of 0\.\.2"),
        ((IMAGE, LABEL * 1.0), "integer"),
    ],
)
def test_wrong_elements(element, message):
    with pytest.raises(ValueError, match=message):
        evaluate(strongest_channel_model(), [element], labels=COLOURS)


@pytest.mark.parametrize(
    "mask", [LABEL[:2], LABEL[None], LABEL * 1.0, LABEL + 7], ids=str
)
def test_wrong_masks_of_a_callable(mask):
    with pytest.raises(ValueError, match=r"must return integer|outside of"):
        evaluate(lambda image: mask, [(IMAGE, LABEL)], labels=COLOURS)


def test_wrong_model_outputs():
    smaller = keras.Sequential([keras.Input((None, None, 3)), keras.layers.MaxPool2D()])
    with pytest.raises(ValueError, match="at the image's size"):
        evaluate(smaller, [(IMAGE, LABEL)])
    inputs = keras.Input((None, None, 3))
    several = keras.Model(inputs, [inputs * 1, inputs * 2])
    with pytest.raises(ValueError, match="several outputs"):
        evaluate(several, [(IMAGE, LABEL)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "tiles"}, "'whole' or 'slide'"),
        ({"mode": "slide"}, r"windows need one.* pass window="),
        ({"mode": "slide", "window": (4, 4), "stride": (5, 1)}, "stride"),
        ({"mode": "slide", "window": (4, 4), "stride": (0, 1)}, "stride"),
        ({"scales": ()}, "scales"),
        ({"scales": (1.0, -1.0)}, "scales"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(strongest_channel_model(), [(IMAGE, LABEL)], **options)


def test_windows_cover_all_and_end_at_the_border():
    corners = []

    def predict(images):
        assert images.shape == (1, 4, 5, 3)
        corners.append(tuple(images[0, 0, 0, :2]))
        return images

    rows, columns = np.mgrid[:9, :11].astype(np.uint8)
    image = np.stack([rows, columns, rows], axis=-1)
    scores = sliding_window(image, predict, window=(4, 5), stride=(3, 4))
    np.testing.assert_array_equal(scores, image)
    assert corners == [(top, left) for top in (0, 3, 5) for left in (0, 4, 6)]


def test_overlaps_are_averaged():
    values = iter([1.0, 4.0])

    def predict(images):
        return np.full((*images.shape[:3], 1), next(values))

    scores = sliding_window(np.zeros((2, 6, 3), np.uint8), predict, (2, 4), (2, 2))
    assert scores[0, :, 0].tolist() == [1, 1, 2.5, 2.5, 4, 4]


def test_image_smaller_than_window_is_padded_with_its_border():
    seen = []

    def predict(images):
        seen.append(images)
        return images

    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    scores = sliding_window(image, predict, window=(4, 4))
    assert seen[0].shape == (1, 4, 4, 3)
    np.testing.assert_array_equal(seen[0][0, 3, :3], image[1])
    np.testing.assert_array_equal(scores, image)


def test_multi_scale_averages_probabilities_at_the_images_size():
    logits = {10: [0.0, 0.0], 5: [0.0, np.log(3.0)]}  # height -> scores
    image = np.zeros((10, 7, 3), np.uint8)
    probabilities = multi_scale(
        image,
        lambda image: np.broadcast_to(logits[len(image)], (*image.shape[:2], 2)),
        scales=(1.0, 0.5),
        flip=False,
    )
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (10, 7, 2)
    expected = np.broadcast_to([0.375, 0.625], (10, 7, 2))
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_flip_is_undone():
    image = np.zeros((2, 5, 3), np.uint8)
    image[:, 0, 0] = 9
    plain = multi_scale(image, lambda x: x[..., :2].astype(float), (1.0,), flip=False)
    flipped = multi_scale(image, lambda x: x[..., :2].astype(float), (1.0,), flip=True)
    np.testing.assert_allclose(flipped, plain, atol=1e-6)
    assert plain[0, 0, 0] > 0.99


def test_multi_scale_with_more_channels_than_opencv_resizes_at_once():
    image = np.zeros((4, 4, 3), np.uint8)
    scores = multi_scale(image, lambda x: np.ones((*x.shape[:2], 150)), (0.5,))
    np.testing.assert_allclose(scores, 1 / 150, rtol=1e-5)


def test_whole_image_checks_the_size():
    with pytest.raises(ValueError, match="at the image's size"):
        whole_image(IMAGE, lambda images: images[:, :2])


@pytest.fixture
def evaluation():
    """Ten pixels: class 2 is nowhere, class 1 is found by half."""
    labels = LabelSet("odd", ("a|b", "[red]c[/red]", "$x^$, y"), ((0, 0, 0),) * 3)
    return Evaluation(np.array([[6, 0, 0], [2, 2, 0], [0, 0, 0]]), labels, images=1)


def test_scores_of_an_evaluation(evaluation):
    np.testing.assert_array_equal(evaluation.iou, [0.75, 0.5, np.nan])
    np.testing.assert_array_equal(evaluation.accuracy, [1, 0.5, np.nan])
    assert evaluation.mean_iou == 0.625
    assert evaluation.mean_accuracy == 0.75
    assert evaluation.pixel_accuracy == 0.8
    assert evaluation.note == ""
    assert [row.pixels for row in evaluation.rows()] == [0.6, 0.4, 0]
    assert evaluation.rows()[1][:3] == ("[red]c[/red]", 0.5, 0.5)


def test_text_shows_names_as_they_are(evaluation):
    lines = [line.split() for line in report.to_text(evaluation).splitlines()]
    assert lines[1] == ["a|b", "75.00%", "100.00%", "60.00%"]
    assert lines[2] == ["[red]c[/red]", "50.00%", "50.00%", "40.00%"]
    assert lines[3] == ["$x^$,", "y", "-", "-", "0.00%"]
    assert lines[4] == ["mean", "62.50%", "75.00%", "-"]
    assert lines[5] == ["all", "pixels", "-", "80.00%", "100.00%"]


def test_markdown_keeps_names_in_their_cells(evaluation):
    lines = report.to_markdown(evaluation).splitlines()
    assert lines[0] == "| class | iou | accuracy | pixels |"
    assert lines[2] == r"| a\|b | 75.00% | 100.00% | 60.00% |"
    assert len(lines) == 7


def test_csv_is_read_back(evaluation):
    rows = list(csv.DictReader(report.to_csv(evaluation).splitlines()))
    assert [row["class"] for row in rows[:3]] == list(evaluation.labels.classes)
    assert float(rows[0]["iou"]) == 0.75
    assert rows[2]["iou"] == ""
    assert float(rows[3]["iou"]) == 0.625


def test_save_leaves_three_files(evaluation, tmp_path):
    folder = report.save(evaluation, tmp_path / "new" / "folder")
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["confusion.png", "iou.csv", "iou.md"]
    picture = cv2.imread(str(folder / "confusion.png"))[..., ::-1]
    expected = confusion_picture(evaluation.confusion, evaluation.labels.classes)
    np.testing.assert_array_equal(picture, expected)


def test_failed_write_keeps_the_old_file(tmp_path):
    write_bytes(tmp_path / "a.csv", b"old")
    with pytest.raises(TypeError):
        write_bytes(tmp_path / "a.csv", "not bytes")
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"old"


def test_confusion_picture_shows_the_matrix():
    names = ["one", "two"]
    right = confusion_picture(np.array([[9, 0], [0, 9]]), names)
    wrong = confusion_picture(np.array([[0, 9], [9, 0]]), names)
    assert right.shape == wrong.shape
    assert (right != wrong).any()
    long = confusion_picture(np.array([[9, 0], [0, 9]]), ["one", "x" * 5000])
    assert long.shape == right.shape
    larger = confusion_picture(np.eye(40), [str(n) for n in range(40)])
    assert larger.shape > right.shape
    with pytest.raises(ValueError, match="does not fit 2 names"):
        confusion_picture(np.eye(3), names)


def test_server_masks_hold_label_ids(parity_dir):
    official = np.load(parity_dir / "miou.npz")
    for mask, expected in zip(
        official["labels"], official["labels_labelid"], strict=True
    ):
        np.testing.assert_array_equal(cityscapes_server.to_label_ids(mask), expected)


@pytest.mark.parametrize("wrong", [19, 254, -1])
def test_server_masks_refuse_other_ids(wrong):
    with pytest.raises(ValueError, match=r"train ids 0\.\.18"):
        cityscapes_server.to_label_ids(np.array([[0, wrong]]))


def test_submission_files(tmp_path):
    source = tmp_path / "berlin_000000_000019_leftImg8bit.png"
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, 3:, 0] = 255  # red on the right
    cv2.imwrite(str(source), image[..., ::-1])
    written = cityscapes_server.write_submission(
        lambda image: (image[..., 0] > 127) * np.uint8(13), [source], tmp_path / "out"
    )
    assert [path.name for path in written] == ["berlin_000000_000019_pred_labelIds.png"]
    saved = cv2.imread(str(written[0]), cv2.IMREAD_UNCHANGED)
    assert saved.tolist() == [[7, 7, 7, 26, 26, 26]] * 4


def test_submission_refuses_wrong_files(tmp_path):
    def write(*files):
        cityscapes_server.write_submission(strongest_channel, files, tmp_path)

    with pytest.raises(ValueError, match="not named"):
        write("photo.png")
    with pytest.raises(ValueError, match="same frame"):
        write("a_000000_000000_leftImg8bit.png", "a_000000_000000.png")
    missing = tmp_path / "a_000000_000000_leftImg8bit.png"
    with pytest.raises(ValueError, match="no file"):
        write(missing)
    missing.write_bytes(b"no image")
    with pytest.raises(ValueError, match="Cannot read"):
        write(missing)


def test_submission_refuses_masks_of_another_size(tmp_path):
    source = tmp_path / "a_000000_000000_leftImg8bit.png"
    cv2.imwrite(str(source), IMAGE)
    with pytest.raises(ValueError, match=r"is \(2, 4\), the image \(4, 4\)"):
        cityscapes_server.write_submission(
            lambda image: LABEL[:2], [source], tmp_path / "out"
        )
