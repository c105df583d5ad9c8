import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frm.metrics import MeanIoU, confusion_matrix, iou_from_confusion
from keras_frm.metrics import mean_iou as module


@pytest.fixture
def official(parity_dir):
    """Labels, predictions and scores of cityscapesScripts."""
    return np.load(parity_dir / "miou.npz")


def random_batch(seed=0, shape=(2, 7, 9), classes=5):
    """Labels with ignored pixels, and logits."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape)
    labels[rng.random(shape) < 0.2] = 255
    return labels, rng.normal(size=(*shape, classes)).astype(np.float32)


def expected_confusion(labels, predictions, classes=5):
    """Count pair by pair, the slow way."""
    pairs = [(labels == row) & (predictions == column)
             for row in range(classes) for column in range(classes)]  # fmt: skip
    return np.reshape([pair.sum() for pair in pairs], (classes, classes))


def test_official_confusion_and_iou(official):
    confusion = confusion_matrix(official["labels"], official["preds"], 19)
    np.testing.assert_array_equal(confusion, official["conf_trainid"])
    np.testing.assert_allclose(
        iou_from_confusion(confusion), official["iou"], rtol=0, atol=1e-12
    )


def test_official_mean_iou_batch_by_batch(official):
    metric = MeanIoU(19)
    for start in (0, 4):  # a batch of four, then one of two
        part = slice(start, start + 4)
        metric.update_state(official["labels"][part], official["preds"][part])
    assert abs(float(metric.result()) - official["miou"]) < 1e-12
    np.testing.assert_array_equal(metric.confusion, official["conf_trainid"])
    np.testing.assert_allclose(metric.iou(), official["iou"], rtol=0, atol=1e-12)


def test_official_single_images(official):
    metric = MeanIoU(19)
    for index in range(6):
        metric.reset_state()
        part = slice(index, index + 1)
        metric.update_state(official["labels"][part], official["preds"][part])
        assert abs(float(metric.result()) - official["miou_single"][index]) < 1e-12
        np.testing.assert_allclose(
            metric.iou(), official["iou_single"][index], rtol=0, atol=1e-12
        )


def test_logits_and_ids_count_the_same():
    labels, logits = random_batch()
    from_logits, from_ids = MeanIoU(5), MeanIoU(5)
    from_logits.update_state(labels[..., None], logits)
    from_ids.update_state(labels.astype(np.uint8), logits.argmax(-1).astype(np.uint8))
    expected = expected_confusion(labels, logits.argmax(-1))
    np.testing.assert_array_equal(from_logits.confusion, expected)
    np.testing.assert_array_equal(from_ids.confusion, expected)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_counts_inside_a_graph(jit_compile):
    labels, logits = random_batch()
    metric = MeanIoU(5)

    @tf.function(jit_compile=jit_compile)
    def step(labels, logits):
        metric.update_state(labels, logits)
        return metric.result()

    inside = [float(step(labels, logits)) for _ in range(2)]
    expected = expected_confusion(labels, logits.argmax(-1))
    np.testing.assert_array_equal(metric.confusion, 2 * expected)
    assert inside == pytest.approx([np.nanmean(iou_from_confusion(expected))] * 2)


def test_sizes_known_only_at_run_time():
    labels, logits = random_batch(shape=(1, 5, 3))
    metric = MeanIoU(5)
    shape = (None, None, None)
    step = tf.function(
        metric.update_state,
        input_signature=[
            tf.TensorSpec(shape, tf.int64),
            tf.TensorSpec((*shape, 5), tf.float32),
        ],
    )
    step(labels, logits)
    assert metric.confusion.sum() == (labels != 255).sum()


def test_exact_beyond_float_precision():
    metric = MeanIoU(2)
    large = 2**53 + 1
    metric.variables[0].assign(digits([large, 0, 0, 7, 0]))
    metric.update_state(np.zeros((1, 1, 1), int), np.zeros((1, 1, 1), int))
    assert metric.confusion.tolist() == [[large + 1, 0], [0, 7]]


@pytest.mark.parametrize("held", [2**24 - 1, 2**31 - 1, 2**52 - 1])
def test_exact_without_int64_as_jax_counts(monkeypatch, held):
    monkeypatch.setattr(module, "_widest", lambda dtype: dtype.replace("64", "32"))
    metric = MeanIoU(2)
    assert metric.variables[0].dtype == "int32"
    metric.variables[0].assign(digits([held, 0, 0, held, 0]))
    labels = np.zeros((1, 3, 1), int)
    metric.update_state(labels, labels)
    assert metric.confusion.tolist() == [[held + 3, 0], [0, held]]
    metric.update_state(labels, labels + 1)
    expected = np.mean([(held + 3) / (held + 6), held / (held + 3)])
    np.testing.assert_allclose(float(metric.result()), expected, 1e-6)


def test_mixed_precision_stays_exact():
    labels, logits = random_batch()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        metric = MeanIoU(5)
        metric.variables[0].assign(digits(np.full(26, 2**24) * (np.arange(26) < 25)))
        metric.update_state(labels, tf.cast(logits, tf.float16))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    added = metric.confusion - 2**24
    predictions = logits.astype(np.float16).argmax(-1)
    np.testing.assert_array_equal(added, expected_confusion(labels, predictions))


def digits(counts):
    """Return counts as the metric holds them."""
    counts = np.array(counts)
    return np.stack([counts % 2**24, counts // 2**24])


# Two devices must be asked for before TensorFlow starts: a process of its own.
TWO_REPLICAS = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from keras_frm.metrics import mean_iou as module
from keras_frm.metrics import MeanIoU
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    metric = MeanIoU(2)
labels = np.array([[[0, 0, 1]], [[1, 1, 255]]])
predictions = np.array([[[0, 1, 1]], [[1, 0, 0]]])
pairs = tf.data.Dataset.from_tensor_slices((labels, predictions)).batch(2)

@tf.function
def step(pair):
    strategy.run(metric.update_state, args=pair)

for _ in range(3):
    for pair in strategy.experimental_distribute_dataset(pairs):
        step(pair)
print(strategy.num_replicas_in_sync, metric.confusion.tolist(), float(metric.result()))
metric.reset_state()
print(metric.confusion.tolist())
"""


@pytest.mark.slow
def test_replicas_are_summed():
    run = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    counted, reset = run.stdout.splitlines()[-2:]
    assert counted.startswith("2 [[3, 3], [3, 6]] 0.41666")  # (3/9 + 6/12) / 2
    assert reset == "[[0, 0], [0, 0]]"


def test_in_compile_and_fit():
    labels, _ = random_batch(shape=(4, 6, 6), classes=3)
    images = np.random.default_rng(1).random((4, 6, 6, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1)])
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(True, ignore_class=255),
        metrics=[MeanIoU(3)],
    )
    model.fit(images, labels, batch_size=2, verbose=0)
    logs = model.evaluate(images, labels, batch_size=3, verbose=0, return_dict=True)
    confusion = confusion_matrix(labels, model.predict(images, verbose=0).argmax(-1), 3)
    expected = np.nanmean(iou_from_confusion(confusion))
    assert logs["mean_iou"] == pytest.approx(expected, abs=1e-12)


def test_nothing_counted_is_zero():
    metric = MeanIoU(3)
    assert float(metric.result()) == 0
    assert np.isnan(metric.iou()).all()


def test_all_ignored():
    metric = MeanIoU(3)
    metric.update_state(np.full((1, 4, 4), 255), np.zeros((1, 4, 4), int))
    assert float(metric.result()) == 0
    assert metric.confusion.sum() == 0


def test_predictions_on_ignored_pixels_count_nowhere():
    labels = np.array([[[0, 1, 255, 255]]])
    predictions = np.array([[[0, 1, 1, 99]]])  # 99 is no class
    metric = MeanIoU(2)
    metric.update_state(labels, predictions)
    assert metric.confusion.tolist() == [[1, 0], [0, 1]]
    assert confusion_matrix(labels, predictions, 2).tolist() == [[1, 0], [0, 1]]


def test_absent_and_only_predicted_classes():
    metric = MeanIoU(4)
    metric.update_state(np.array([[[0, 0, 1, 1]]]), np.array([[[0, 0, 1, 3]]]))
    np.testing.assert_array_equal(metric.iou(), [1, 0.5, np.nan, 0])
    assert float(metric.result()) == 0.5  # of three classes


def test_one_class():
    metric = MeanIoU(1)
    metric.update_state(np.zeros((1, 3, 3), int), np.zeros((1, 3, 3, 1)))
    assert metric.confusion.tolist() == [[9]]
    assert float(metric.result()) == 1


def test_other_ignore_label():
    metric = MeanIoU(2, ignore_label=-1)
    metric.update_state(np.array([[[0, -1]]]), np.array([[[0, 0]]]))
    assert metric.confusion.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    "mask",
    [
        np.array([1, 0]),
        np.array([True, False]),
        np.stack([np.ones((7, 9)), np.zeros((7, 9))]),
        np.stack([np.ones((7, 9, 1)), np.zeros((7, 9, 1))]),
    ],
    ids=["image", "bool", "pixel", "pixel with channel"],
)
def test_mask_leaves_pixels_out(mask):
    labels, logits = random_batch()
    metric = MeanIoU(5)
    metric.update_state(labels, logits, sample_weight=mask)
    expected = expected_confusion(labels[:1], logits[:1].argmax(-1))
    np.testing.assert_array_equal(metric.confusion, expected)


def test_masked_pixels_may_hold_any_id():
    metric = MeanIoU(2)
    labels = np.array([[[0]], [[77]]])
    metric.update_state(labels, np.zeros((2, 1, 1), int), np.array([1, 0]))
    assert metric.confusion.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("label", "prediction", "weight"),
    [(5, 0, None), (-1, 0, None), (0, 5, None), (0, -1, None), (0, 0, 0.5)],
    ids=["label", "negative label", "prediction", "negative prediction", "fraction"],
)
def test_what_cannot_be_counted_shows(label, prediction, weight):
    metric = MeanIoU(5)
    labels, predictions = np.full((1, 2, 2), label), np.full((1, 2, 2), prediction)
    metric.update_state(labels, predictions, weight)
    assert np.isnan(float(metric.result()))
    with pytest.raises(ValueError, match=r"4 pixels .* outside of 0\.\.4"):
        metric.iou()
    metric.reset_state()
    metric.update_state(np.zeros((1, 2, 2), int), np.zeros((1, 2, 2), int))
    assert float(metric.result()) == 1


@pytest.mark.parametrize("wrong", [5, -1, 254])
def test_numpy_raises_on_wrong_ids(wrong):
    right = np.array([0, 4])
    with pytest.raises(ValueError, match=rf"Labels hold the ids \[{wrong}\]"):
        confusion_matrix(np.array([0, wrong]), right, 5)
    with pytest.raises(ValueError, match=rf"Predictions hold the ids \[{wrong}\]"):
        confusion_matrix(right, np.array([0, wrong]), 5)


def test_numpy_dtypes_do_not_overflow():
    labels = np.full(3, 18, np.uint8)
    confusion = confusion_matrix(labels, labels.astype(np.uint64), 19)
    assert confusion.dtype == np.int64
    assert confusion[18, 18] == confusion.sum() == 3


def test_numpy_empty():
    empty = np.zeros((0, 3), np.uint8)
    assert confusion_matrix(empty, empty, 2).tolist() == [[0, 0], [0, 0]]


def test_numpy_raises_on_shape_and_dtype():
    with pytest.raises(ValueError, match="differ in shape"):
        confusion_matrix(np.zeros(3, int), np.zeros(4, int), 2)
    with pytest.raises(ValueError, match="integer"):
        confusion_matrix(np.zeros(3), np.zeros(3, int), 2)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2), int), "Labels must be integer"),
        (np.zeros((2, 2), int), np.zeros((1, 2, 2), int), "Labels must be integer"),
        (np.zeros((1, 2, 2), int), np.zeros((1, 2, 2)), "Predictions must be scores"),
        (np.zeros((1, 2, 2), int), np.zeros((1, 2, 2, 4)), "Predictions must be"),
        (np.zeros((1, 2, 2), int), np.zeros((1, 3, 2, 3)), "differ"),
    ],
)
def test_raises_on_shapes_and_dtypes(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        MeanIoU(3).update_state(labels, predictions)


def test_config_round_trip():
    metric = MeanIoU(7, ignore_label=9, name="miou", dtype="float32")
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert isinstance(copy, MeanIoU)
    assert copy.get_config() == metric.get_config()
    assert copy.result().dtype == tf.float32


def test_callbacks_know_that_more_is_better():
    labels = np.zeros((1, 2, 2), int)
    model = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Conv2D(2, 1)])
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(True), metrics=[MeanIoU(2)]
    )
    stopping = keras.callbacks.EarlyStopping("mean_iou", patience=5)
    model.fit(np.ones((1, 2, 2, 3)), labels, callbacks=[stopping], verbose=0)
    assert stopping.monitor_op(0.8, 0.7)
