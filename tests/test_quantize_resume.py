"""Training for int8 that is saved, loaded and goes on as if nothing had happened."""

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops
from tiny import batch

from keras_frm import SegmentationModel, quantize_aware
from keras_frm.layers import BilinearUpsampling
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution

pytest.importorskip("tf_keras")

SIZE = (16, 24)
IMAGES, LABELS = batch(8, SIZE, num_classes=11)
STEPS = 4  # of an epoch
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)


def float_network():
    """A BatchNorm to fold, a depthwise kernel, a range that two tensors share."""
    x = entry = keras.Input((*SIZE, 3), name="image")
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(6, 3, 4, "same", use_bias=False)(x)  # (B, H / 4, W / 4, 6)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Concatenate(name="joined")([x, y])
    x = layers.Conv2D(11, 1, name="classifier")(x)
    return keras.Model(entry, BilinearUpsampling()(x, entry))


def trainable(freeze_after=None, **options):
    """A quantised network, compiled; with options a SegmentationModel's."""
    keras.utils.set_random_seed(0)
    model, teacher = float_network(), options.pop("teacher", False)
    if options or teacher:
        model = SegmentationModel(model, "camvid", **options)
    quantized = quantize_aware(
        model,
        representative_data=IMAGES[:2],
        freeze_after=freeze_after,
        teacher=float_network() if teacher else None,
    )
    quantized.compile(keras.optimizers.Adam(1e-2), LOSS)
    return quantized


def fit(model, epochs=1, **options):
    images = IMAGES.astype("float32")
    options = {"batch_size": len(images) // STEPS, "shuffle": False, **options}
    return model.fit(images, LABELS, epochs=epochs, verbose=0, **options)


def load(path):
    return keras.saving.load_model(path, safe_mode=True)


def ranges_of(model):
    network = getattr(model, "network", model)
    return [
        layer for layer in network.layers if isinstance(layer, MovingAverageFakeQuant)
    ]


def state_of(model):
    """All that training goes on from."""
    state = [*model.weights, *model.optimizer.variables]
    state += getattr(getattr(model, "teacher", None), "weights", [])
    return [ops.convert_to_numpy(variable) for variable in state]


def assert_same_state(model, expected):
    for variable, other in zip(state_of(model), expected, strict=True):
        np.testing.assert_allclose(variable, other, rtol=1e-5, atol=1e-7)


# === One epoch, a file, one epoch ===


class Ends(keras.callbacks.Callback):
    """Note the ends of all ranges after every step."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, step, logs=None):
        ranges = ranges_of(self.model)
        self.seen.append([[float(end) for end in layer.ends()] for layer in ranges])


@pytest.mark.slow
@pytest.mark.parametrize(
    "freeze_after",
    [None, *(pytest.param(n, marks=pytest.mark.long) for n in (STEPS, STEPS + 2))],
    ids=str,
)
def test_two_epochs_are_one_a_file_and_one(freeze_after, tmp_path):
    whole, parts = trainable(freeze_after), trainable(freeze_after)
    start = state_of(whole)
    fit(parts)
    parts.save(tmp_path / "model.keras")
    loaded = load(tmp_path / "model.keras")
    middle = state_of(loaded)
    assert_same_state(parts, middle)
    ends = Ends()
    fit(loaded, callbacks=[ends])
    fit(whole, 2)
    assert_same_state(loaded, state_of(whole))

    # Equality says something: training changed kernels, ranges and moments.
    changed = [(a != b).any() for a, b in zip(start, middle, strict=False)]
    assert np.mean(changed) > 0.5
    assert all(
        (a != b).any()
        for a, b in zip(middle, state_of(loaded), strict=True)
        if a.ndim > 1
    )
    assert {int(r.steps.value) for r in ranges_of(loaded)} == {2 * STEPS}
    moved = [before != after for before, after in itertools.pairwise(ends.seen)]
    expected = {None: [True] * 3, STEPS: [False] * 3, STEPS + 2: [True, False, False]}
    assert moved == expected[freeze_after]


FRESH = """
import sys
import numpy as np
import keras_frm
folder = sys.argv[1]
model = keras_frm.load_model(f"{folder}/model.keras")
data = np.load(f"{folder}/data.npz")
model.fit(data["x"], data["y"], batch_size=2, shuffle=False, verbose=0)
state = [np.asarray(v) for v in [*model.weights, *model.optimizer.variables]]
np.savez(f"{folder}/state.npz", *state)
"""


@pytest.mark.slow
def test_another_process_goes_on_too(tmp_path):
    model = trainable(STEPS + 2)
    fit(model)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=IMAGES.astype("float32"), y=LABELS)
    result = subprocess.run(
        [sys.executable, "-c", FRESH, tmp_path], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-600:]
    fit(model)
    with np.load(tmp_path / "state.npz") as state:
        for variable, other in zip(state_of(model), state.values(), strict=True):
            np.testing.assert_allclose(other, variable, rtol=1e-5, atol=1e-7)


# === The segmentation model, its teacher and its recipe ===


class SaveAfter(keras.callbacks.Callback):
    """Save the model after an epoch, as a checkpoint does."""

    def __init__(self, path, epoch):
        super().__init__()
        self.path, self.epoch = path, epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.save(self.path)


@pytest.mark.long
def test_distillation_goes_on_under_the_recipe(tmp_path):
    """Falling learning rate, averaged weights, a teacher, ranges that freeze."""
    model = trainable(STEPS + 1, teacher=True, contrastive_weight=0.5, embedding_dim=4)
    assert model.teacher is not None
    model.compile()
    assert model.optimizer.use_ema
    save = SaveAfter(tmp_path / "model.keras", epoch=0)
    losses = fit(model, 2, callbacks=[save]).history["loss"]
    loaded = load(tmp_path / "model.keras")
    assert loaded.distillation_weight == model.distillation_weight
    assert not loaded.teacher.trainable_weights
    history = fit(loaded, 2, initial_epoch=1).history
    assert_same_state(loaded, state_of(model))
    np.testing.assert_allclose(history["loss"], losses[1:], rtol=1e-5)


def test_teacher_and_its_weight_are_in_the_file(tmp_path):
    keras.utils.set_random_seed(0)
    teacher = float_network()
    model = SegmentationModel(float_network(), "camvid", contrastive_weight=0)
    options = {"representative_data": IMAGES[:2], "teacher": teacher}
    model = quantize_aware(model, distillation_weight=0.25, **options)
    model.compile("sgd", LOSS)
    model.save(tmp_path / "model.keras")
    loaded = load(tmp_path / "model.keras")
    assert loaded.distillation_weight == 0.25
    images = IMAGES.astype("float32")
    np.testing.assert_array_equal(loaded.teacher(images), teacher(images))
    kernels = [y for y in loaded.network.layers if isinstance(y, QuantizedConvolution)]
    assert len(kernels) == 4
    np.testing.assert_array_equal(loaded(images), model(images))
    assert [w.path for w in loaded.trainable_weights if "teacher" in w.path] == []
