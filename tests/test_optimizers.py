"""SGD with the decay in the gradient and the poly rule, against float64 NumPy."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from tiny import Rates, tiny_model

from keras_frm.layers import VAN
from keras_frm.losses import OhemCrossEntropy
from keras_frm.optimizers.adamw import AdamW
from keras_frm.optimizers.coupled_sgd import CoupledSGD
from keras_frm.optimizers.poly_decay import PlanLearningRate, PolyDecay
from keras_frm.presets import preset
from keras_frm.recipes import recipe

RNG = np.random.default_rng(0)
MATRIX, TARGET, START = RNG.normal(size=(8, 3)), RNG.normal(size=8), RNG.normal(size=3)


def gradient(weight):
    """Return the gradient of half the squared error of a small linear problem."""
    return MATRIX.T @ (MATRIX @ weight - TARGET)


def train(optimizer, steps=10, name="weight"):
    """Return the weight after some steps on the same problem in float32."""
    weight = keras.Variable(START, dtype="float32", name=name)
    optimizer.build([weight])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            error = tf.linalg.matvec(tf.constant(MATRIX, "float32"), weight.value)
            loss = tf.reduce_sum(tf.square(error - tf.constant(TARGET, "float32"))) / 2
        optimizer.apply(tape.gradient(loss, [weight.value]), [weight])

    for _ in range(steps):
        step()
    return np.asarray(weight)


# === SGD ===


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("l2", [0.0, 0.5])
@pytest.mark.parametrize("warmup", [0, 4])
def test_ten_steps_with_poly_decay(momentum, l2, warmup):
    schedule = PolyDecay(0.02, total_steps=12, warmup_steps=warmup)
    weight = train(CoupledSGD(schedule, momentum=momentum, l2=l2))
    rates = [
        reference.poly_learning_rate(step, 0.02, 12, warmup=warmup)
        for step in range(10)
    ]
    expected = reference.coupled_sgd(START, gradient, rates, momentum, l2)
    np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_decay_is_not_the_one_beside_the_momentum():
    coupled = train(CoupledSGD(0.01, momentum=0.9, l2=0.5))
    beside = train(keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=0.5))
    plain = train(CoupledSGD(0.01, momentum=0.9))
    assert np.abs(coupled - plain).max() > 2 * np.abs(beside - plain).max() > 0


def test_excluded_weights_are_not_decayed():
    plain, decayed, excluded = (
        CoupledSGD(0.02, momentum=0.9, l2=l2) for l2 in (0.0, 0.5, 0.5)
    )
    excluded.exclude_from_weight_decay(var_names=["bias"])
    expected = train(plain)
    np.testing.assert_array_equal(train(excluded, name="bias"), expected)
    assert np.abs(train(decayed, name="bias") - expected).max() > 1e-3


def test_other_weights_are_decayed_beside_excluded_ones():
    optimizer = CoupledSGD(0.1, l2=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    kernel, bias = (keras.Variable([2.0], name=n) for n in ("kernel", "bias"))
    optimizer.apply([tf.zeros(1), tf.zeros(1)], [kernel, bias])
    np.testing.assert_allclose([kernel[0], bias[0]], [1.9, 2.0], rtol=1e-6)


def test_sgd_config_round_trip():
    schedule = PolyDecay(0.02, total_steps=12, power=0.5, warmup_steps=3, start_step=2)
    optimizer = CoupledSGD(schedule, momentum=0.9, l2=0.5, nesterov=True, name="sgd")
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(copy, CoupledSGD)
    assert copy.get_config() == optimizer.get_config()
    assert copy.l2 == 0.5
    np.testing.assert_array_equal(train(copy), train(optimizer))


@pytest.mark.parametrize("accumulated", [1, 2])
def test_ten_steps_of_a_network_equal_a_transcription_in_float64(accumulated):
    """Momentum, coupled decay and poly, on two layers and a batch for each step."""
    random = np.random.default_rng(2)
    images = random.normal(size=(10, 4, 3))
    targets = random.normal(size=(10, 4, 2))
    start = [random.normal(size=shape) for shape in ((3, 5), (5,), (5, 2), (2,))]

    def slopes(weights, x, y):
        """Return the gradients of the mean squared error, by the chain rule."""
        first, first_bias, second, second_bias = weights
        hidden = np.tanh(x @ first + first_bias)  # (B, 5)
        error = 2 * (hidden @ second + second_bias - y) / y.size  # (B, 2)
        back = (error @ second.T) * (1 - hidden**2)  # (B, 5)
        return [x.T @ back, back.sum(0), hidden.T @ error, error.sum(0)]

    expected = [weight.copy() for weight in start]
    velocity = [np.zeros_like(weight) for weight in start]
    sums = [np.zeros_like(weight) for weight in start]
    for step, (x, y) in enumerate(zip(images, targets, strict=True)):
        each = slopes(expected, x, y)
        sums = [total + g for total, g in zip(sums, each, strict=True)]
        if (step + 1) % accumulated:
            continue
        rate = 0.2 * (1 - step / 10) ** 0.9
        for i, weight in enumerate(expected):
            slope = sums[i] / accumulated + 0.05 * weight
            velocity[i] = 0.9 * velocity[i] - rate * slope
            expected[i] = weight + velocity[i]
        sums = [np.zeros_like(weight) for weight in start]

    layers = [keras.layers.Dense(5, "tanh"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.set_weights(start)
    steps = accumulated if accumulated > 1 else None
    optimizer = CoupledSGD(
        PolyDecay(0.2, total_steps=10),
        momentum=0.9,
        l2=0.05,
        gradient_accumulation_steps=steps,
    )
    model.compile(optimizer, "mse")
    for x, y in zip(images, targets, strict=True):
        model.train_on_batch(x.astype("float32"), y.astype("float32"))
    for weight, wanted, first in zip(model.get_weights(), expected, start, strict=True):
        assert np.abs(wanted - first).max() > 0.05
        np.testing.assert_allclose(weight, wanted, rtol=1e-5, atol=1e-6)


# === Accumulation ===


@pytest.mark.parametrize("cls", [CoupledSGD, AdamW])
@pytest.mark.parametrize("options", [{}, {"use_ema": True}, {"clipnorm": 0.1}])
def test_accumulation_has_the_numbers_of_keras(cls, options):
    base = keras.optimizers.AdamW if cls is AdamW else keras.optimizers.SGD
    options = {"weight_decay": 0.1, "gradient_accumulation_steps": 3, **options}
    ours, theirs = cls(0.05, **options), base(0.05, **options)
    np.testing.assert_allclose(train(ours, 8), train(theirs, 8), rtol=1e-6)
    for left, right in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), rtol=1e-6)


def test_accumulation_refuses_to_overwrite_weights_by_their_average():
    optimizer = CoupledSGD(
        0.1, use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=2
    )
    with pytest.raises(ValueError, match="leave one of them out"):
        train(optimizer, 1)


# === A rate of the backbone's own ===


@pytest.mark.parametrize("cls", [CoupledSGD, AdamW])
@pytest.mark.parametrize("factor", [0.0, 0.1, None])
def test_backbone_takes_steps_of_its_rate(cls, factor):
    """As if its weights were trained by another optimizer."""
    decay = {"l2": 0.3, "momentum": 0.9} if cls is CoupledSGD else {"weight_decay": 0.3}
    together = cls(0.05, backbone_multiplier=factor, **decay)
    ours, other, alone, rest = (
        keras.Variable([1.0, -2.0], name="kernel") for _ in range(4)
    )
    together.set_backbone([ours])
    scaled = cls(0.05 * (1.0 if factor is None else factor), **decay)
    plain = cls(0.05, **decay)
    for slope in ([0.5, 1.0], [-0.2, 0.4], [0.1, 0.1]):
        slope = tf.constant(slope)
        together.apply([slope, slope], [ours, other])
        scaled.apply([slope], [alone])
        plain.apply([slope], [rest])
    np.testing.assert_allclose(ours.numpy(), alone.numpy(), rtol=1e-6)
    np.testing.assert_allclose(other.numpy(), rest.numpy(), rtol=1e-6)


def test_backbone_of_a_network_is_found():
    trunk = VAN((8, 8, 16, 16), (2, 2, 2, 2), (1, 1, 1, 1), name="trunk")
    model = tiny_model(num_classes=3, backbone=trunk, contrastive_weight=0.0)
    model.compile(**recipe("camvid", backbone_multiplier=0.1))
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    rates = [float(optimizer.rate_of(v, 1.0)) for v in model.trainable_variables]
    expected = model.network.get_layer("trunk").trainable_variables
    assert rates.count(0.1) == len(expected) > 0
    assert rates.count(1.0) == len(rates) - len(expected) > 0


def test_multiplier_without_a_backbone():
    with pytest.raises(ValueError, match="no trained weight is a backbone"):
        train(CoupledSGD(0.1, backbone_multiplier=0.1), 1)


@pytest.mark.parametrize("name", ["cityscapes", "camvid"])
def test_multiplier_is_serialised(name):
    optimizer = recipe(name, backbone_multiplier=0.25)["optimizer"]
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(copy) is type(optimizer)
    assert copy.backbone_multiplier == 0.25
    assert recipe(name)["optimizer"].backbone_multiplier is None


# === The poly rule ===


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
@pytest.mark.parametrize("warmup", [0, 5])
def test_poly_rule(power, warmup):
    schedule = PolyDecay(0.1, total_steps=20, power=power, warmup_steps=warmup)
    rates = [float(schedule(step)) for step in range(25)]
    expected = [
        reference.poly_learning_rate(step, 0.1, 20, power, warmup) for step in range(25)
    ]
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)
    assert rates[19] > 0
    assert rates[20:] == [0] * 5


def test_warm_up_rises_linearly_from_the_first_step():
    schedule = PolyDecay(1.0, warmup_steps=4)
    rates = [float(schedule(step)) for step in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1]


def test_without_a_plan_the_rate_is_constant():
    schedule = PolyDecay(0.1)
    assert schedule.total_steps is None
    assert [float(schedule(step)) for step in (0, 10_000)] == [pytest.approx(0.1)] * 2


def test_start_step_shifts_the_rule():
    schedule = PolyDecay(0.1, total_steps=20, start_step=100)
    plain = PolyDecay(0.1, total_steps=20)
    for step in (0, 7, 20):
        assert float(schedule(100 + step)) == float(plain(step))
    assert float(schedule(50)) == float(plain(0))


def test_a_traced_step_follows_a_new_plan():
    schedule = PolyDecay(0.1, power=1.0)
    traced = tf.function(schedule)
    step = tf.constant(5)
    assert float(traced(step)) == pytest.approx(0.1)
    schedule.plan(10)
    assert float(traced(step)) == pytest.approx(0.05)
    assert (schedule.total_steps, schedule.start_step) == (10, 0)
    schedule.plan(10, start_step=4)
    assert float(traced(step)) == pytest.approx(0.09)
    assert (schedule.total_steps, schedule.start_step) == (10, 4)


@pytest.mark.parametrize("total_steps", [None, 30])
def test_schedule_config_round_trip(total_steps):
    schedule = PolyDecay(0.1, total_steps, 0.8, warmup_steps=3, start_step=2)
    config = keras.optimizers.schedules.serialize(schedule)
    copy = keras.optimizers.schedules.deserialize(config)
    assert isinstance(copy, PolyDecay)
    assert copy.get_config() == schedule.get_config()
    assert copy.get_config()["total_steps"] == total_steps
    assert float(copy(9)) == float(schedule(9))


# === Planning in fit ===


def fit(model, schedule, epochs, initial_epoch=0, steps=3):
    """Return the rates of a short training with the plan made by the callback."""
    rates, x = Rates(), np.ones((steps, 2), "float32")
    model.fit(
        x,
        x[:, :1],
        batch_size=1,
        epochs=epochs,
        initial_epoch=initial_epoch,
        verbose=0,
        callbacks=[PlanLearningRate(schedule, initial_epoch), rates],
    )
    return rates.rates


def model_with(schedule):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(CoupledSGD(schedule), "mse")
    return model


def test_plan_spreads_the_rule_over_the_fit_and_its_continuation():
    schedule = PolyDecay(0.1, power=1.0)
    model = model_with(schedule)
    rates = fit(model, schedule, epochs=2)
    np.testing.assert_allclose(rates, 0.1 * (1 - np.arange(6) / 6), rtol=1e-5)
    rates = fit(model, schedule, epochs=4, initial_epoch=2)
    np.testing.assert_allclose(rates, 0.1 * (1 - np.arange(6, 12) / 12), rtol=1e-5)


def test_a_new_fit_starts_the_rule_anew():
    schedule = PolyDecay(0.1, power=1.0)
    model = model_with(schedule)
    first, second = (fit(model, schedule, epochs=1) for _ in range(2))
    np.testing.assert_allclose(first, 0.1 * (1 - np.arange(3) / 3), rtol=1e-5)
    np.testing.assert_allclose(second, first, rtol=1e-5)


def test_after_the_fit_the_schedule_is_unplanned():
    """`SegmentationModel.fit` plans unplanned ones only; an old plan ends at rate 0."""
    schedule = PolyDecay(0.1)
    fit(model_with(schedule), schedule, epochs=1)
    assert schedule.total_steps is None


def test_unknown_number_of_steps_is_said():
    schedule = PolyDecay(0.1)
    plan = PlanLearningRate(schedule)
    plan.set_params({"steps": None, "epochs": 3})
    with pytest.warns(UserWarning, match="`steps_per_epoch`"):
        plan.on_train_begin()
    assert schedule.total_steps is None


# === The recipe ===


def test_recipe_takes_the_preset():
    chosen = preset("cityscapes")
    optimizer = recipe("cityscapes", steps=50)["optimizer"]
    assert isinstance(optimizer, CoupledSGD)
    wanted = chosen.recipe
    assert (optimizer.momentum, optimizer.l2) == (wanted.momentum, wanted.weight_decay)
    schedule = optimizer._learning_rate
    assert schedule.total_steps == 50
    assert schedule.initial_learning_rate == wanted.learning_rate
    assert schedule.power == wanted.power


def test_recipe_names_an_unknown_optimizer():
    with pytest.raises(ValueError, match="'lion'; it must be 'sgd' or 'adamw'"):
        recipe(preset("cityscapes").with_changes(optimizer="lion"))


def test_recipe_with_ohem_and_class_weights():
    chosen = preset("camvid").with_changes(
        loss="ohem", ohem_threshold=0.7, ohem_kept=100, class_weights=(2.0,) * 11
    )
    loss = recipe(chosen)["loss"]
    assert isinstance(loss, OhemCrossEntropy)
    assert (loss.threshold, loss.min_kept) == (0.7, 100)
    assert loss.class_weights == [2.0] * 11
    with pytest.raises(ValueError, match="'dice'; it must be 'cross_entropy' or 'ohe"):
        recipe(chosen.with_changes(loss="dice"))
