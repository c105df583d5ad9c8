"""One training step, and what `fit` makes of many."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import Rates, assert_same_weights, batch, tiny_model, toy_model, weights_of

from keras_frm.layers import BilinearUpsampling
from keras_frm.losses import CrossEntropy
from keras_frm.models.quantized_model import QuantizedSegmentationModel
from keras_frm.optimizers.coupled_sgd import CoupledSGD
from keras_frm.optimizers.poly_decay import PolyDecay
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant


def copy_of(model):
    """Return a model of the same structure with the same weights."""
    other = type(model).from_config(model.get_config())
    other.set_weights(model.get_weights())
    return other


def by_hand(model, images, labels, weights=None):
    """Return loss, cross-entropy, contrastive loss and gradients from the formulas.

    Every labelled pixel is an anchor, so images must be small; sizes are multiples of
    8, so that the nearest pixel of a 4x4 cell is its third.
    """
    network = model.network
    features_of = network.get_layer("decoder").output
    both = keras.Model(network.input, [network.output, features_of])
    valid = tf.cast(labels != 255, tf.float32)
    weights = valid if weights is None else valid * weights
    targets = tf.one_hot(tf.where(labels == 255, 0, labels), model.num_classes)
    with tf.GradientTape() as tape:
        logits, features = both(images, training=True)
        pixels = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), -1)
        cross_entropy = tf.reduce_sum(weights * pixels) / tf.reduce_sum(weights)
        contrastive = tf.constant(0.0)
        if model.contrastive_weight:
            head = model.embedding_head
            small = labels[:, 2::4, 2::4].reshape(-1)
            anchors = tf.reshape(features, (small.size, -1))[small != 255]
            embeddings = tf.cast(anchors, tf.float32) @ head.kernel + head.bias
            contrastive = eq_6(
                tf.linalg.l2_normalize(embeddings, -1),
                small[small != 255],
                model.temperature,
            )
        loss = cross_entropy + model.contrastive_weight * contrastive
    gradients = tape.gradient(loss, model.trainable_weights)
    return loss, cross_entropy, contrastive, gradients


def eq_6(embeddings, labels, temperature):
    """Return the contrastive loss of the paper, as it is written."""
    similarity = tf.exp(embeddings @ tf.transpose(embeddings) / temperature)
    same = labels[:, None] == labels[None]
    negatives = tf.reduce_sum(similarity * ~same, 1, keepdims=True)
    positive = (same & ~np.eye(len(labels), dtype=bool)).astype("float32")
    terms = positive * -tf.math.log(similarity / (similarity + negatives))
    count = positive.sum(1)
    per_anchor = tf.reduce_sum(terms, 1)[count > 0] / count[count > 0]
    return tf.reduce_mean(per_anchor)


def descend(model, gradients, learning_rate):
    """Take one step of plain SGD by hand."""
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        weight.assign_sub(learning_rate * gradient)


# === One step ===


@pytest.mark.parametrize("contrastive_weight", [0.0, 0.5])
def test_sgd_step_equals_one_written_by_hand(contrastive_weight):
    model = toy_model(contrastive_weight=contrastive_weight, temperature=0.5)
    expected, (images, labels) = copy_of(model), batch()
    loss, cross_entropy, contrastive, gradients = by_hand(expected, images, labels)
    descend(expected, gradients, 0.1)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert_same_weights(model, expected)
    assert float(logs["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert float(logs["cross_entropy"]) == pytest.approx(float(cross_entropy), rel=1e-5)
    if contrastive_weight:
        assert float(logs["contrastive"]) == pytest.approx(float(contrastive), rel=1e-5)
    else:
        assert "contrastive" not in logs


def test_step_of_the_whole_network_equals_one_written_by_hand():
    """With BatchNorm: its running averages move by one step, too."""
    model = tiny_model(num_classes=3)
    # Where the decoder puts out zeros, an embedding needs the bias for a direction.
    model.embedding_head.bias.assign([1.0, -1.0, 0.5, 0.0])
    expected, (images, labels) = copy_of(model), batch(size=(40, 48))
    start = weights_of(model)
    *_, gradients = by_hand(expected, images, labels)
    descend(expected, gradients, 0.05)
    model.compile(keras.optimizers.SGD(0.05), run_eagerly=True)
    model.train_on_batch(images, labels)
    assert_same_weights(model, expected, rtol=1e-4, atol=1e-5)
    end = weights_of(model)
    unmoved = [path for path in start if np.array_equal(start[path], end[path])]
    assert [path for path in unmoved if "seed" not in path] == []


def test_labels_with_a_channel_and_odd_sizes():
    model, (images, labels) = toy_model(), batch(size=(17, 23))
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    expected = copy_of(model)
    expected.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.train_on_batch(images, labels)
    expected.train_on_batch(images.astype("float32"), labels[..., None].astype("int64"))
    assert_same_weights(model, expected)


def test_all_ignored_leaves_finite_weights_unmoved():
    model, (images, labels) = toy_model(), batch()
    start = copy_of(model)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    logs = model.train_on_batch(images, np.full_like(labels, 255), return_dict=True)
    assert_same_weights(model, start)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert float(logs["loss"]) == 0


def test_pixels_outside_the_classes_are_not_contrasted():
    """A label set may ignore another label than 255."""
    images, labels = batch()
    model = toy_model()
    loss = CrossEntropy(ignore_label=9)
    logs = []
    for ignored in (255, 9):
        each = copy_of(model)
        each.compile("sgd", loss if ignored == 9 else None, metrics=[])
        each.run_eagerly = True
        relabelled = np.where(labels == 255, ignored, labels)
        logs.append(each.train_on_batch(images, relabelled, return_dict=True))
    assert float(logs[0]["contrastive"]) > 0
    assert float(logs[1]["contrastive"]) == pytest.approx(float(logs[0]["contrastive"]))


# === Weights of images, pixels and classes ===


@pytest.mark.parametrize("shape", ["image", "pixel"])
def test_sample_weight(shape):
    images, labels = batch()
    random = np.random.default_rng(5)
    weights = random.uniform(0, 2, (2,) if shape == "image" else labels.shape)
    weights = weights.astype("float32")
    model = toy_model(contrastive_weight=0.0)
    expected = copy_of(model)
    pixels = weights if shape == "pixel" else weights[:, None, None]
    *_, gradients = by_hand(expected, images, labels, pixels)
    descend(expected, gradients, 0.1)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.train_on_batch(images, labels, sample_weight=weights)
    assert_same_weights(model, expected)


class Batches(keras.utils.PyDataset):
    """Two batches of two images."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return tuple(array[2 * index : 2 * index + 2] for array in self.arrays)


def endless(*arrays):
    while True:
        yield from (tuple(array[i : i + 2] for array in arrays) for i in (0, 2))


def given_as(kind, *arrays):
    """Return the arguments of `fit` for batches of two from arrays of four."""
    if kind == "arrays":
        names = ("x", "y", "sample_weight")
        named = dict(zip(names, arrays, strict=False))
        return {**named, "batch_size": 2, "shuffle": False}
    if kind == "PyDataset":
        return {"x": Batches(*arrays), "shuffle": False}
    if kind == "generator":
        return {"x": endless(*arrays), "steps_per_epoch": 2}
    return {"x": tf.data.Dataset.from_tensor_slices(arrays).batch(2)}


KINDS = ("arrays", "PyDataset", "generator", "tf.data")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample_weight"])
def test_class_weight_of_fit_equals_class_weights_of_the_loss(kind, weighted):
    arrays = batch(4)
    if weighted:
        arrays += (np.array([1, 0.5, 2, 0.25], "float32"),)
    model = toy_model(contrastive_weight=0.0)
    by_loss = copy_of(model)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.fit(**given_as(kind, *arrays), class_weight={0: 3.0, 2: 0.25}, verbose=0)
    loss = CrossEntropy(class_weights=[3.0, 1.0, 0.25])
    by_loss.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    by_loss.fit(**given_as(kind, *arrays), verbose=0)
    assert_same_weights(model, by_loss)


def test_class_weight_is_that_of_one_fit():
    images, labels = batch()
    model = toy_model(contrastive_weight=0.0)
    model.compile(keras.optimizers.SGD(0.0))
    options = {"verbose": 0, "validation_data": (images, labels)}
    logs = [
        model.fit(images, labels, class_weight=weights, **options).history
        for weights in (None, {0: 9.0}, None)
    ]
    first, weighted, last = (history["loss"][0] for history in logs)
    assert first == pytest.approx(last, rel=1e-6)
    assert abs(weighted - first) > 1e-3
    assert logs[1]["val_loss"] == pytest.approx(logs[0]["val_loss"], rel=1e-6)


def test_class_weight_of_a_class_that_does_not_exist():
    model, (images, labels) = toy_model(), batch()
    model.compile()
    with pytest.raises(ValueError, match=r"do not exist: \[3, 9\]"):
        model.fit(images, labels, class_weight={9: 1.0, 3: 1.0, 0: 1.0}, verbose=0)


# === Images that are no RGB in [0, 255] ===


def assert_refused(model, match, **arguments):
    """Expect that `fit` ends with a message, and with the weights it began with."""
    before = weights_of(model)
    with pytest.raises(ValueError, match=match):
        model.fit(**arguments, verbose=0)
    for path, after in weights_of(model).items():
        np.testing.assert_array_equal(after, before[path])


@pytest.mark.parametrize("kind", KINDS)
def test_images_in_0_1_are_refused_with_the_first_step(kind):
    images, labels = batch(4)
    model = toy_model()
    model.compile()
    unit = (images / 255).astype("float32")
    match = r"first images hold numbers from .* to 0\.\d+, .*\[0, 255\].* by 255"
    assert_refused(model, match, **given_as(kind, unit, labels))
    levels = images.astype("float32")
    model.fit(**given_as(kind, levels, labels), verbose=0)  # and go on with these


@pytest.mark.parametrize(
    "options",
    [{"run_eagerly": True}, {"steps_per_execution": 2}, {"jit_compile": True}],
    ids=["eager", "multi-step", "XLA"],
)
def test_images_in_0_1_are_refused_however_a_step_runs(options):
    images, labels = batch(4)
    model = toy_model(dtype="mixed_bfloat16")
    model.compile(**options)
    unit = (images / 255).astype("float32")
    assert_refused(model, "by 255", **given_as("tf.data", unit, labels))


@pytest.mark.slow
def test_normalised_images_are_refused_and_overshoot_is_not():
    images, labels = batch(4)
    model = toy_model()
    model.compile()
    normalised = (images.astype("float32") - 120) / 58
    assert_refused(model, "hold numbers from -", x=normalised, y=labels)
    resized = images.astype("float32") * 1.1 - 12
    model.fit(resized, labels, verbose=0)


def test_black_images_decide_nothing_and_whole_numbers_are_levels():
    images, labels = batch(4)
    model = toy_model()
    model.compile()
    model.fit(np.zeros(images.shape, "float32"), labels, verbose=0)
    model.fit(images // 255, labels, verbose=0)
    unit = (images / 255).astype("float32")
    unit[:2] = 0
    arguments = given_as("arrays", unit, labels)
    with pytest.raises(ValueError, match="by 255"):
        model.fit(**arguments, verbose=0)


# === compile ===


def test_compile_takes_the_presets_recipe():
    model = toy_model(preset="cityscapes")
    model.compile()
    assert model.optimizer.name == "coupled_sgd"
    assert (model.optimizer.momentum, model.optimizer.l2) == (0.9, 1e-4)
    assert isinstance(model.loss, CrossEntropy)


def test_parts_that_are_given_replace_the_recipes():
    images, labels = batch(ignored=False)
    model = toy_model(preset="camvid", contrastive_weight=0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], run_eagerly=True)
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    logs = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "cross_entropy", "accuracy"}
    log_p = tf.nn.log_softmax(model(images)).numpy()
    expected = -np.take_along_axis(log_p, labels[..., None].astype(int), -1).mean()
    assert float(logs["loss"]) == pytest.approx(expected, rel=1e-5)
    only_loss = copy_of(model)
    only_loss.compile(metrics=[], run_eagerly=True)
    logs = only_loss.evaluate(images, labels, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "cross_entropy"}


def test_loss_by_name():
    images, labels = batch(ignored=False)
    model = toy_model(contrastive_weight=0.0)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.run_eagerly = True
    logs = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "cross_entropy", "accuracy"}


# === Steps that are not finite ===


def everything(model):
    """Return what a step may change, by path."""
    variables = model.weights + model.optimizer.variables
    return {variable.path: variable.numpy() for variable in variables}


def some_changed(start, end):
    """Return the paths of the variables that changed."""
    return [path for path in start if not np.array_equal(start[path], end[path])]


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_step_changes_nothing_but_the_count(bad, eager):
    images, labels = batch()
    images = images.astype("float32")
    broken = images.copy()
    broken[1, 5, 5, 0] = bad
    model = toy_model(contrastive_weight=0.5)
    optimizer = CoupledSGD(0.1, 0.9, l2=1e-3, use_ema=True)
    model.compile(optimizer, run_eagerly=eager)
    model.train_on_batch(images, labels)
    before = everything(model)
    for skipped in (1, 2):
        logs = model.train_on_batch(broken, labels, return_dict=True)
        assert (float(logs["skipped_steps"]), model.skipped_in_a_row) == (1, skipped)
    assert some_changed(before, everything(model)) == []
    assert np.isfinite(float(logs["loss"]))
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert (float(logs["skipped_steps"]), model.skipped_in_a_row) == (0, 0)
    after, rate = everything(model), optimizer._learning_rate
    assert set(some_changed(before, after)) == set(before) - {rate.path}
    assert all(np.isfinite(value).all() for value in after.values())


@pytest.mark.slow
def test_bad_step_leaves_batch_norms_and_follows_the_others():
    """Skipping a batch is as if it were not there."""
    images, labels = batch(size=(32, 32))
    images = images.astype("float32")
    model = tiny_model(num_classes=3, contrastive_weight=0.0)
    expected = copy_of(model)
    for each in (model, expected):
        each.compile(keras.optimizers.SGD(0.05), metrics=[])
        each.train_on_batch(images, labels)
        if each is model:
            each.train_on_batch(np.full_like(images, np.nan), labels)
            assert each.skipped_in_a_row == 1
        each.train_on_batch(images, labels)
    assert_same_weights(model, expected, rtol=0, atol=0)


def test_bad_step_leaves_the_ranges_of_quantised_training():
    pytest.importorskip("tf_keras")
    images, labels = batch()
    images = images.astype("float32")
    image = keras.Input((None, None, 3), name="image")
    x = MovingAverageFakeQuant(-9.0, 300.0, freeze_after=9)(image)
    x = keras.layers.Conv2D(4, 4, 4, name="decoder")(x)  # (B, H / 4, W / 4, 4)
    x = MovingAverageFakeQuant(-1.0, 1.0, freeze_after=9)(x)
    logits = keras.layers.Conv2D(3, 1, name="classifier")(x)
    network = keras.Model(image, BilinearUpsampling()(logits, image))
    model = QuantizedSegmentationModel(network, contrastive_weight=0.0)
    model.compile(keras.optimizers.SGD(0.1), metrics=[])
    model.train_on_batch(images, labels)
    before = everything(model)
    assert any("minima" in path for path in before)
    model.train_on_batch(images * np.float32(np.nan), labels)
    assert model.skipped_in_a_row == 1
    assert some_changed(before, everything(model)) == []
    model.train_on_batch(images, labels)
    moved = some_changed(before, everything(model))
    assert {path for path in before if "maxima" in path or "steps" in path} <= set(
        moved
    )


def test_gradients_alone_can_be_bad():
    images, labels = batch()
    model = toy_model(contrastive_weight=0.0)

    def loss(labels, logits):
        # 0 at 0, where its slope is infinite.
        return keras.ops.sqrt(keras.ops.abs(logits - keras.ops.stop_gradient(logits)))

    model.compile(keras.optimizers.SGD(0.1), loss, metrics=[])
    before = everything(model)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert (float(logs["loss"]), float(logs["skipped_steps"])) == (0, 1)
    assert some_changed(before, everything(model)) == []


def test_float16_counts_a_bad_loss_and_leaves_overflow_to_the_loss_scale():
    images, labels = batch()
    images = images.astype("float32")
    model = toy_model(dtype="mixed_float16", contrastive_weight=0.0)
    optimizer = keras.optimizers.LossScaleOptimizer(
        CoupledSGD(0.1), initial_scale=2.0**100
    )
    model.compile(optimizer, metrics=[])
    optimizer.build(model.trainable_variables)
    before = everything(model)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert float(logs["skipped_steps"]) == 0
    assert some_changed(before, everything(model)) == [optimizer.dynamic_scale.path]
    assert float(optimizer.dynamic_scale) == 2.0**99
    optimizer.dynamic_scale.assign(64.0)
    before = everything(model)
    logs = model.train_on_batch(images * np.nan, labels, return_dict=True)
    assert float(logs["skipped_steps"]) == 1
    assert some_changed(before, everything(model)) == []
    model.train_on_batch(images, labels)
    assert int(model.optimizer.iterations) == 1


def test_count_begins_anew_each_epoch_and_the_run_of_skips_does_not():
    images, labels = batch(count=4)
    images = images.astype("float32")
    images[1:3] = np.nan
    model = toy_model(contrastive_weight=0.0)
    model.compile(keras.optimizers.SGD(0.1), metrics=[])
    options = {"batch_size": 1, "shuffle": False, "verbose": 0}
    history = model.fit(images[[0, 1, 1, 2]], labels, epochs=2, **options).history
    assert history["skipped_steps"] == [3, 3]
    assert model.skipped_in_a_row == 3
    assert history["loss"][0] == pytest.approx(history["loss"][0])  # a number


def test_run_of_skips_is_saved(tmp_path):
    images, labels = batch()
    model = toy_model(contrastive_weight=0.0)
    model.compile(keras.optimizers.SGD(0.1), metrics=[])
    for _ in range(3):
        model.train_on_batch(images * np.float32(np.nan), labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.skipped_in_a_row == model.skipped_in_a_row == 3
    assert some_changed(weights_of(model), weights_of(loaded)) == []


# === fit ===


@pytest.fixture(scope="module")
def fitted():
    """A toy model after a fit that it can learn by heart, and the fit's history."""
    keras.utils.set_random_seed(2)
    images, labels = batch(count=4)
    model = toy_model(contrastive_weight=0.5)
    model.compile(keras.optimizers.Adam(0.02))
    history = model.fit(
        images,
        labels,
        batch_size=3,
        epochs=30,
        validation_data=(images, labels),
        validation_freq=30,
        verbose=0,
    )
    return model, history.history


def test_logs(fitted):
    _, logs = fitted
    assert set(logs) == {
        "loss",
        "cross_entropy",
        "contrastive",
        "mean_iou",
        "skipped_steps",
        "val_loss",
        "val_cross_entropy",
        "val_mean_iou",
    }
    total = np.array(logs["cross_entropy"]) + 0.5 * np.array(logs["contrastive"])
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)
    # The embedding head is no part of validation.
    assert logs["val_loss"] == logs["val_cross_entropy"]


def test_loss_falls_and_iou_rises(fitted):
    model, logs = fitted
    assert logs["cross_entropy"][-1] < 0.5 * logs["cross_entropy"][0]
    assert logs["contrastive"][-1] < 0.9 * logs["contrastive"][0]
    assert logs["mean_iou"][-1] > logs["mean_iou"][0] + 0.2
    images, labels = batch(count=4)
    right = (model.predict(images, verbose=0).argmax(-1) == labels)[labels != 255]
    assert right.mean() > 0.8


def test_evaluate_agrees_with_fits_validation(fitted):
    model, logs = fitted
    images, labels = batch(count=4)
    result = model.evaluate(images, labels, batch_size=3, verbose=0, return_dict=True)
    assert result["mean_iou"] == pytest.approx(logs["val_mean_iou"][-1])
    assert result["loss"] == pytest.approx(logs["val_loss"][-1], rel=1e-5)


def test_several_steps_in_one_execution():
    images, labels = batch(count=4)
    model = toy_model()
    expected = copy_of(model)
    for each, steps in ((model, 2), (expected, 1)):
        each.compile(keras.optimizers.SGD(0.1), steps_per_execution=steps)
        each.fit(images, labels, batch_size=1, shuffle=False, verbose=0)
    assert_same_weights(model, expected)


def test_accumulated_gradients_are_one_step_on_their_mean():
    images, labels = batch(count=4)
    model = toy_model()
    expected = copy_of(model)
    halves = [by_hand(expected, images[i:][:2], labels[i:][:2])[3] for i in (0, 2)]
    mean = [(first + second) / 2 for first, second in zip(*halves, strict=True)]
    descend(expected, mean, 0.1)
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model.compile(optimizer, run_eagerly=True)
    model.fit(images, labels, batch_size=2, shuffle=False, verbose=0)
    assert_same_weights(model, expected)


@pytest.mark.slow
def test_compiled_by_xla():
    images, labels = batch()
    model = toy_model()
    expected = copy_of(model)
    for each in (model, expected):
        each.compile(keras.optimizers.SGD(0.1), jit_compile=each is model)
        each.fit(images, labels, batch_size=2, shuffle=False, verbose=0)
    assert_same_weights(model, expected, rtol=1e-4, atol=1e-5)


def half_precision_sgd(model, learning_rate):
    """Return SGD, in float16 with a loss scale that lets no first step overflow."""
    optimizer = keras.optimizers.SGD(learning_rate)
    if model.dtype_policy.name != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64)


def test_float16_scales_the_loss_by_itself():
    model = toy_model(dtype="mixed_float16")
    model.compile()
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    for unscaled in (toy_model(), toy_model(dtype="mixed_bfloat16")):
        unscaled.compile()
        assert not isinstance(unscaled.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.utils.set_random_seed(0)
    images, labels = batch()
    model = toy_model(dtype=policy)
    exact = toy_model()
    exact.set_weights(model.get_weights())
    start = weights_of(model)
    for each in (model, exact):
        each.compile(half_precision_sgd(each, 0.1), run_eagerly=True)
        each.fit(images, labels, epochs=2, batch_size=2, verbose=0)
    assert int(model.optimizer.iterations) == 2
    # Two steps in half precision go where two exact ones go.
    for path, weight in weights_of(model).items():
        moved = weights_of(exact)[path] - start[path]
        error = np.abs(weight - start[path] - moved).max()
        assert error <= 0.1 * np.abs(moved).max(), path


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_fit_plans_the_learning_rate(policy):
    images, labels = batch(count=3)
    model, rates = toy_model(dtype=policy), Rates()
    optimizer = half_precision_sgd(model, PolyDecay(0.01))
    model.compile(optimizer, run_eagerly=True)
    model.fit(images, labels, batch_size=1, epochs=2, callbacks=[rates], verbose=0)
    expected = 0.01 * (1 - np.arange(6) / 6) ** 0.9
    np.testing.assert_allclose(rates.rates, expected, rtol=1e-4)


def test_second_fit_continues_the_rule():
    images, labels = batch(count=2)
    model, rates = toy_model(preset="cityscapes"), Rates()
    model.compile(run_eagerly=True)
    model.fit(images, labels, batch_size=1, epochs=1, verbose=0)
    model.fit(
        images,
        labels,
        batch_size=1,
        initial_epoch=1,
        epochs=2,
        callbacks=[rates],
        verbose=0,
    )
    expected = 0.01 * (1 - np.array([2, 3]) / 4) ** 0.9
    np.testing.assert_allclose(rates.rates, expected, rtol=1e-4)


def test_a_plan_that_is_given_is_left_alone():
    images, labels = batch(count=2)
    model, rates = toy_model(), Rates()
    schedule = PolyDecay(0.1, total_steps=8, power=1.0)
    model.compile(keras.optimizers.SGD(schedule), run_eagerly=True)
    for _ in range(2):
        model.fit(images, labels, batch_size=1, callbacks=[rates], verbose=0)
    np.testing.assert_allclose(rates.rates, 0.1 * (1 - np.arange(4) / 8), rtol=1e-5)
    assert schedule.total_steps == 8


def test_fit_takes_its_arguments_by_position_and_any_callback():
    images, labels = batch()
    model, seen = toy_model(), []
    model.compile(run_eagerly=True)
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs)))
    )
    model.fit(images, labels, 2, 2, 0, [callback])
    names = ["contrastive", "cross_entropy", "loss", "mean_iou", "skipped_steps"]
    assert seen == [(0, names), (1, names)]
