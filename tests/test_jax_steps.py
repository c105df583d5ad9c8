"""Training steps under JAX without TensorFlow; `make check-jax` runs them."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("Keras runs on another backend than JAX", allow_module_level=True)

import grain
import jax
import jax_devices
from tiny import assert_same_weights, batch, tiny_model, toy_model, weights_of

import keras_frm
from keras_frm.backend.jax.rematerialize import rematerialized
from keras_frm.backend.jax.train_step import TrainStep
from keras_frm.backend.private_hooks import moving_average
from keras_frm.layers import VANBlock
from keras_frm.losses import CrossEntropy
from keras_frm.optimizers.adamw import AdamW
from keras_frm.optimizers.coupled_sgd import CoupledSGD
from keras_frm.optimizers.poly_decay import PolyDecay


@pytest.fixture(autouse=True)
def no_tensorflow():
    yield
    assert "tensorflow" not in sys.modules


def pair(**options):
    """Return two models with the same weights."""
    first, second = (toy_model(contrastive_weight=0.0, **options) for _ in range(2))
    second.set_weights(first.get_weights())
    return first, second


def state_of(model):
    """Return what a bad step must leave alone, by path."""
    variables = model.weights + model.optimizer.variables
    return {variable.path: variable.numpy() for variable in variables}


def assert_unchanged(model, before):
    for path, value in state_of(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


# === Where the data come from ===


class Batches(keras.utils.PyDataset):
    """Two batches of two images."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return tuple(array[2 * index : 2 * index + 2] for array in self.arrays)


def from_grain(*arrays):
    return grain.MapDataset.source(list(zip(*arrays, strict=True))).batch(2)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.mark.parametrize("kind", [Batches, from_grain])
def test_datasets_train_as_arrays_do(kind):
    arrays = batch(4)
    model, other = pair()
    for each in (model, other):
        each.compile(CoupledSGD(0.1, 0.9), metrics=[])
    model.fit(*arrays, batch_size=2, shuffle=False, verbose=0)
    other.fit(kind(*arrays), shuffle=False, verbose=0)
    assert_same_weights(model, other, 0, 0)
    predicted = other.predict(arrays[0], verbose=0)
    assert predicted.shape == (4, 16, 24, 3)


def test_the_whole_fit_with_the_presets_recipe():
    images, labels = batch(4)
    model = toy_model(preset="cityscapes")
    model.compile()
    options = {"batch_size": 2, "verbose": 0, "validation_data": (images, labels)}
    history = model.fit(images, labels, epochs=3, **options).history
    names = ["contrastive", "cross_entropy", "loss", "mean_iou", "skipped_steps"]
    of_validation = ["val_cross_entropy", "val_loss", "val_mean_iou"]
    assert sorted(history) == names + of_validation
    assert history["loss"][-1] < history["loss"][0]
    logs = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert logs["mean_iou"] == pytest.approx(history["val_mean_iou"][-1])


def test_arrays_on_the_device_stay_there():
    """`fit` gets the very arrays: nothing was copied to the host, or through NumPy."""
    images, labels = batch(6)
    dataset = keras_frm.dataset_from_arrays(
        "camvid", images, labels, batch_size=2, crop=(12, 16)
    )
    made, taken = [], []
    make = dataset.batch
    dataset.batch = lambda step: made.append(make(step)) or made[-1]
    model = toy_model(11)
    model.compile(metrics=[])

    def take(state, iterator):
        taken.append(next(iterator))
        return {}, state

    model.train_function = take
    model.fit(dataset, epochs=2, verbose=0)
    assert len(taken) == 6
    # Keras looks at one before the first epoch.
    for batch_made, batch_taken in zip(made[-6:], taken, strict=True):
        assert all(a is b for a, b in zip(batch_made, batch_taken, strict=True))
        assert all(isinstance(array, jax.Array) for array in batch_taken)


def test_a_training_on_arrays_on_the_device():
    images, labels = batch(6)
    model, other = pair()
    options = {"batch_size": 2, "crop": (12, 16), "seed": 3}
    dataset = keras_frm.dataset_from_arrays("camvid", images, labels, **options)
    for each in (model, other):
        each.compile(keras.optimizers.SGD(0.1), metrics=[])
    model.fit(dataset, epochs=2, verbose=0)
    for step in range(6):
        other.train_on_batch(*dataset.batch(step))
    assert_same_weights(model, other)


# === Edge cases of a batch ===


@pytest.mark.parametrize("size", [(16, 24), (17, 23)], ids=["even", "odd"])
@pytest.mark.parametrize("count", [1, 2], ids=["batch 1", "batch 2"])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_sizes_and_precisions(size, count, dtype):
    images, labels = batch(count, size)
    model = toy_model(dtype=dtype)
    model.compile(CoupledSGD(0.1))
    before = weights_of(model)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert logs["skipped_steps"] == 0
    assert np.isfinite(logs["loss"])
    after = weights_of(model)
    assert all(np.isfinite(value).all() for value in after.values())
    assert any(not np.array_equal(after[path], before[path]) for path in after)


def test_loss_scaling():
    """The scale falls where gradients overflow; the schedule's plan is followed."""
    images, labels = batch(4)
    model = toy_model(dtype="mixed_float16", contrastive_weight=0.0)
    model.compile(CoupledSGD(PolyDecay(0.1)), metrics=[])
    history = model.fit(images, labels, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert hasattr(model.optimizer, "inner_optimizer")
    before = state_of(model)
    broken = np.full(images.shape, np.nan, "float32")
    logs = model.train_on_batch(broken, labels, return_dict=True)
    assert logs["skipped_steps"] == 1
    assert_unchanged(model, before)


def test_all_ignored_leaves_finite_weights_unmoved():
    images, labels = batch()
    model = toy_model()
    model.compile(keras.optimizers.SGD(0.1))
    before = weights_of(model)
    logs = model.train_on_batch(images, np.full_like(labels, 255), return_dict=True)
    assert logs["loss"] == 0
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path])


def test_one_class():
    images, labels = batch(num_classes=1)
    model = toy_model(1)
    model.compile()
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert (logs["loss"], logs["mean_iou"]) == (0, 1)


# === Steps that are left out ===


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_step_changes_nothing_but_the_count(bad):
    images, labels = batch()
    images = images.astype("float32")
    broken = images.copy()
    broken[1, 5, 5, 0] = bad
    model = toy_model()
    model.compile(CoupledSGD(0.1, 0.9, l2=1e-3, use_ema=True), metrics=[])
    model.train_on_batch(images, labels)
    before = state_of(model)
    for skipped in (1, 2):
        logs = model.train_on_batch(broken, labels, return_dict=True)
        assert (logs["skipped_steps"], model.skipped_in_a_row) == (1, skipped)
        assert np.isfinite(logs["loss"])
    assert_unchanged(model, before)
    model.train_on_batch(images, labels)
    assert model.skipped_in_a_row == 0
    assert all(np.isfinite(value).all() for value in state_of(model).values())


def test_infinite_loss_leaves_the_step_out():
    images, labels = batch()
    model = toy_model(contrastive_weight=0.0)
    model.compile(
        CoupledSGD(0.1), lambda labels, logits: keras.ops.mean(logits) + np.inf
    )
    before = weights_of(model)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert (logs["skipped_steps"], logs["loss"]) == (1, 0)
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path])


def test_bad_step_leaves_batch_norms():
    images, labels = batch(size=(32, 32))
    model = tiny_model(num_classes=3, contrastive_weight=0.0)
    model.compile(keras.optimizers.SGD(0.05), metrics=[])
    before = state_of(model)
    model.train_on_batch(np.full(images.shape, np.nan, "float32"), labels)
    assert model.skipped_in_a_row == 1
    assert_unchanged(model, before)
    model.train_on_batch(images, labels)
    means = [path for path in before if "moving_mean" in path]
    assert means
    assert all((state_of(model)[path] != before[path]).any() for path in means)


def test_wrong_images_end_the_training_with_the_weights_it_began_with():
    images, labels = batch(4)
    model = toy_model()
    model.compile()
    before = weights_of(model)
    unit = (images / 255).astype("float32")
    with pytest.raises(ValueError, match=r"from .* to 0\.\d+, .*\[0, 255\].* by 255"):
        model.fit(unit, labels, batch_size=2, verbose=0)
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path])
    unit[:2] = 0  # a black batch decides nothing
    options = {"batch_size": 2, "shuffle": False, "verbose": 0}
    with pytest.raises(ValueError, match="by 255"):
        model.fit(unit, labels, **options)
    assert all(np.isfinite(value).all() for value in weights_of(model).values())
    model.fit(images.astype("float32"), labels, **options)


# === Weights of classes and samples ===


@pytest.mark.parametrize("kind", [Batches, from_grain])
def test_class_weight_of_fit_equals_class_weights_of_the_loss(kind):
    images, labels = batch(4)
    arrays = images, labels, np.array([1, 0.5, 2, 0.25], "float32")
    model, by_loss = pair()
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(kind(*arrays), class_weight={0: 3.0}, shuffle=False, verbose=0)
    by_loss.compile(keras.optimizers.SGD(0.1), CrossEntropy(class_weights=[3, 1, 1]))
    by_loss.fit(kind(*arrays), shuffle=False, verbose=0)
    assert_same_weights(model, by_loss)


def test_sample_weight_0_leaves_an_image_out():
    images, labels = batch()
    model, other = pair()
    for each in (model, other):
        each.compile(keras.optimizers.SGD(0.1), metrics=[])
    model.train_on_batch(images, labels, sample_weight=np.array([1.0, 0.0]))
    other.train_on_batch(images[:1], labels[:1])
    assert_same_weights(model, other)


# === Optimizers ===


def test_several_steps_per_execution():
    images, labels = batch(4)
    model, other = pair()
    options = {"batch_size": 1, "shuffle": False, "verbose": 0}
    for each, steps in ((model, 1), (other, 2)):
        each.compile(CoupledSGD(0.1, 0.9), metrics=[], steps_per_execution=steps)
        each.fit(images, labels, **options)
    assert_same_weights(model, other)


def test_a_compiled_step_follows_the_plan_of_each_fit():
    images, labels = batch()
    model, by_hand = pair()
    model.compile(CoupledSGD(PolyDecay(0.1)), metrics=[])
    by_hand.compile(CoupledSGD(0.1), metrics=[])
    for epochs in (3, 2):
        model.fit(images, labels, epochs=epochs, verbose=0)
        for epoch in range(epochs):
            by_hand.optimizer.learning_rate = 0.1 * (1 - epoch / epochs) ** 0.9
            by_hand.train_on_batch(images, labels)
        assert_same_weights(model, by_hand)


@pytest.mark.parametrize("make", [CoupledSGD, AdamW])
def test_accumulated_gradients_make_one_update(make):
    images, labels = batch()
    model, other = pair()
    model.compile(make(0.1, gradient_accumulation_steps=2), metrics=[])
    other.compile(make(0.1), metrics=[])
    start = weights_of(model)
    model.train_on_batch(images, labels)
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, start[path])
    model.train_on_batch(np.full(images.shape, np.inf, "float32"), labels)
    assert model.skipped_in_a_row == 1  # it does not count for the update
    model.train_on_batch(images, labels)
    other.train_on_batch(images, labels)
    assert_same_weights(model, other)


def test_moving_average_of_the_weights():
    images, labels = batch()
    model = toy_model()
    model.compile(AdamW(0.1, use_ema=True, ema_momentum=0.75), metrics=[])
    model.train_on_batch(images, labels)
    first = [weight.numpy() for weight in model.trainable_weights]
    model.train_on_batch(images, labels)
    averages = moving_average(model.optimizer)
    for old, weight, average in zip(
        first, model.trainable_weights, averages, strict=True
    ):
        expected = 0.75 * old + 0.25 * weight.numpy()
        np.testing.assert_allclose(average.numpy(), expected, 1e-5, 1e-6)


# === Names, randomness, memory, files ===


def test_no_private_name_of_keras_is_hidden():
    model = type(toy_model())
    parents = [each for each in model.__mro__ if each.__module__.startswith("keras.")]
    taken = set().union(*(vars(parent) for parent in parents))
    own = {name for name in vars(TrainStep) if name.startswith("_")}
    assert {name for name in own & taken if not name.startswith("__")} == set()


def test_anchors_are_drawn_anew_in_each_step():
    images, labels = batch()
    model = toy_model()
    model.contrastive_loss.max_anchors = 8
    model.compile(keras.optimizers.SGD(0.0), metrics=[])
    options = {"batch_size": 2, "shuffle": False, "verbose": 0}
    history = model.fit(images, labels, epochs=4, **options).history
    assert len(set(history["contrastive"])) > 1


def test_rematerialised_layer_is_a_plain_call():
    layers = [VANBlock(2, 0.5, layer_scale=1.0, dtype="mixed_bfloat16") for _ in "ab"]
    for layer in layers:
        layer.build((None, 6, 7, 4))
    for to, source in zip(layers[1].variables, layers[0].variables, strict=True):
        to.assign(source)
    x = np.random.default_rng(0).normal(size=(2, 6, 7, 4)).astype("float32")
    for _ in range(2):  # the second call has the next random numbers
        plain = layers[0](x, training=True)
        again = rematerialized(layers[1], x, training=True)
        np.testing.assert_array_equal(plain, again)
    for left, right in zip(layers[0].variables, layers[1].variables, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())


def test_a_training_goes_on_from_a_file(tmp_path):
    images, labels = batch()
    model = toy_model(contrastive_weight=0.0)
    model.compile(CoupledSGD(0.1, 0.9))
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    other = keras_frm.load_model(tmp_path / "model.keras")
    for each in (model, other):
        each.train_on_batch(images, labels)
    assert_same_weights(model, other, 0, 0)


def test_shipped_weights():
    images, _ = batch(1, (64, 64))
    model = keras_frm.build_model("camvid", weights="camvid")
    assert model.predict(images, verbose=0).shape == (1, 64, 64, 11)


@pytest.mark.parametrize(
    "name", ["load_dataset", "quantize_aware", "export_tflite", "evaluate", "profile"]
)
def test_what_needs_tensorflow_says_so_by_name(name):
    with pytest.raises(ImportError) as raised:
        getattr(keras_frm, name)
    line = f"keras_frm.{name} needs 'tensorflow', which is not installed."
    assert str(raised.value) == f"{line} Run: pip install 'keras_frm[train]'"


# === Several devices ===


def test_two_devices_train_as_one(tmp_path):
    """`keras.distribution.DataParallel`: losses and weights are those of one device."""
    made = []
    for count in (1, 2):
        flags = f"--xla_force_host_platform_device_count={count}"
        target = tmp_path / f"{count}.npz"
        subprocess.run(
            [sys.executable, jax_devices.__file__, target],
            env={
                **os.environ,
                "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}",
            },
            check=True,
        )
        made.append(dict(np.load(target)))
    one, two = made
    assert (one.pop("devices"), two.pop("devices")) == (1, 2)
    assert one.keys() == two.keys()
    for name, array in one.items():
        atol = 1e-4 if name == "predicted" else 1e-5
        np.testing.assert_allclose(two[name], array, 1e-4, atol, err_msg=name)
