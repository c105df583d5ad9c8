"""Ranges measured again: the same weights, less rounding."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_frm import SegmentationModel, quantize_aware, recalibrate
from keras_frm.graph.flatten import flatten
from keras_frm.layers import BilinearUpsampling, LayerScale
from keras_frm.quantization.freeze import scheme_of, without_fake_quant
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution

pytest.importorskip("tf_keras")

SIZE = (8, 8)
IMAGES = [np.random.default_rng(i).integers(0, 256, (*SIZE, 3)) for i in range(4)]
INPUTS = np.stack(IMAGES).astype("float32")


def conv(filters, **options):
    return layers.Conv2D(filters, 3, padding="same", **options)


def network():
    """Return a network with a residual that a LayerNormalization reads."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((*SIZE, 3))
    x = conv(6, name="stem")(layers.Rescaling(1 / 255)(x))
    x = x + conv(6, name="branch")(keras.ops.relu(conv(8, name="expand")(x)))
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(image, conv(2, name="classifier")(x))


def drifted(model):
    """Return a quantised model after a training: uneven channels, ranges of before."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name in ("stem", "branch", "expand"):
            layer = getattr(layer, "layer", layer)
            kernel, bias = layer.get_weights()
            factors = 10 ** random.uniform(-1.5, 0, bias.shape)
            layer.set_weights([kernel * factors, bias * factors + 0.01])
    return model


def exact(model):
    """Return what a quantised model computes without any rounding."""
    return without_fake_quant(flatten(model, (*SIZE, 3), batch_size=None))(
        INPUTS
    ).numpy()


def trained(**options):
    return drifted(quantize_aware(network(), representative_data=IMAGES, **options))


def test_weights_stay_and_rounding_shrinks():
    old = trained()
    before = [weight.copy() for weight in old.get_weights()]
    new = recalibrate(old, representative_data=IMAGES)
    np.testing.assert_allclose(exact(new), exact(old), atol=1e-5)
    noise = [np.sqrt(np.mean((m(INPUTS) - exact(m)) ** 2)) for m in (new, old)]
    assert noise[0] < 0.5 * noise[1]
    for left, right in zip(old.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)


def test_twice_is_as_once():
    once = recalibrate(trained(), representative_data=IMAGES)
    twice = recalibrate(once, representative_data=IMAGES)
    assert [layer.name for layer in twice.layers] == [x.name for x in once.layers]
    assert sum(isinstance(layer, LayerScale) for layer in twice.layers) == 1
    np.testing.assert_allclose(exact(twice), exact(once), atol=1e-5)
    step = [
        layer for layer in once.layers if isinstance(layer, MovingAverageFakeQuant)
    ][-1].scale()
    np.testing.assert_allclose(twice(INPUTS), once(INPUTS), atol=3 * float(step))


def test_scheme_and_frozen_ranges_stay():
    new = recalibrate(
        trained(scheme="tensorrt", freeze_after=3), representative_data=IMAGES
    )
    ranges = [
        layer for layer in new.layers if isinstance(layer, MovingAverageFakeQuant)
    ]
    assert ranges
    assert all(layer.freeze_after == 3 for layer in ranges)
    assert scheme_of(new) == "tensorrt"


def test_float_operations_are_named_again():
    options = {"keep_float": ["branch"]}
    new = recalibrate(trained(**options), representative_data=IMAGES, **options)
    assert isinstance(new.get_layer("branch"), layers.Conv2D)
    assert isinstance(new.get_layer("expand"), QuantizedConvolution)


def test_segmentation_model_keeps_its_teacher_and_trains_on():
    keras.utils.set_random_seed(0)
    x = image = keras.Input((*SIZE, 3), name="image")
    x = conv(8, strides=2)(layers.Rescaling(1 / 255)(x))
    x = layers.Conv2D(11, 1, name="classifier")(keras.ops.relu(x))
    model = SegmentationModel(
        keras.Model(image, BilinearUpsampling()(x, image)), "camvid"
    )
    options = {"representative_data": IMAGES}
    old = quantize_aware(model, teacher=model, distillation_weight=0.5, **options)
    new = recalibrate(old, **options)
    assert scheme_of(new)
    assert new.distillation_weight == 0.5
    np.testing.assert_array_equal(new.teacher(INPUTS), model.network(INPUTS))
    head = old.embedding_head.get_weights()
    for left, right in zip(new.embedding_head.get_weights(), head, strict=True):
        np.testing.assert_array_equal(left, right)
    new.compile()
    logs = new.train_on_batch(INPUTS, np.zeros((4, *SIZE), "int32"), return_dict=True)
    # The best that the network can do is to put out what the teacher does.
    scores = keras.ops.softmax(model.network(INPUTS))
    least = -np.mean(np.sum(scores * np.log(scores), axis=-1))
    assert logs["distillation"] > 0.99 * least
    total = logs["cross_entropy"] + logs["contrastive"] + 0.5 * logs["distillation"]
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
    logs = new.evaluate(INPUTS, np.zeros((4, *SIZE), "int32"), return_dict=True)
    assert sorted(logs) == ["cross_entropy", "loss", "mean_iou"]


def test_float_model_is_refused():
    with pytest.raises(ValueError, match=r"does not round.*keras_frm\.quantize_aware"):
        recalibrate(network(), representative_data=IMAGES)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="representative_data is empty"):
        recalibrate(trained(), representative_data=[])
