"""What `quantize_aware` refuses, each in one line that says what to do."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_frm import SegmentationModel, export_tflite, quantize_aware
from keras_frm.graph.graph import Graph
from keras_frm.quantization.after_training import quantize_after_training
from keras_frm.quantization.freeze import scheme_of
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution

pytest.importorskip("tf_keras")

SIZE = (8, 12)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3)).astype(np.uint8)


def image(size=SIZE, channels=3):
    return keras.Input((*size, channels), name="image")


def conv(name, filters=4, **options):
    return layers.Conv2D(filters, 1, name=name, **options)


def plain_model(size=SIZE):
    x = image(size)
    y = ops.relu(conv("stem")(layers.Rescaling(1 / 255)(x)))
    return keras.Model(x, conv("classifier", 3)(y), name="plain")


def segmentation_model(classes=3):
    x = image((None, None))
    y = ops.relu(conv("stem")(layers.Rescaling(1 / 255)(x)))
    network = keras.Model(x, conv("classifier", classes)(y))
    return SegmentationModel(network, contrastive_weight=0)


def refusal(model, **options):
    """The one line that says why a model is not quantised."""
    options = {"representative_data": IMAGES, **options}
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        quantize_aware(model, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


# === Models ===


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.only = conv("only")

    def call(self, x):
        return self.only(x)


def test_model_that_is_not_built():
    model = keras.Sequential([conv("only")], name="bare")
    line = refusal(model)
    assert "'bare'" in line
    assert "Build it from keras.Input" in line
    model.build((None, *SIZE, 3))
    assert scheme_of(quantize_aware(model, representative_data=IMAGES))


class Doubled(layers.Layer):
    """A layer of the user's own, not registered."""

    def call(self, x):
        return 2 * x


def test_layer_that_is_not_registered():
    x = image()
    line = refusal(keras.Model(x, conv("only")(Doubled()(x)), name="own"))
    assert "'own'" in line
    assert "Doubled" in line
    assert "register_keras_serializable" in line


@pytest.mark.parametrize("called", [False, True])
def test_model_that_is_subclassed_only(called):
    model = Subclassed()
    if called:
        model(IMAGES.astype("float32"))
    line = refusal(model)
    assert "'subclassed'" in line
    assert "Functional" in line
    assert "Build it from keras.Input" in line


def test_what_is_no_model():
    assert "keras_frm.load_model" in refusal("runs/best.keras")


def test_model_that_is_quantised_already():
    trainable = quantize_aware(plain_model(), representative_data=IMAGES)
    x = image()
    wrapped = keras.Model(x, layers.ReLU()(trainable(x)), name="wrapped")
    after_training = quantize_after_training(plain_model(), IMAGES)
    for model in (trainable, wrapped, after_training):
        line = refusal(model)
        assert f"'{model.name}' is quantised already" in line
        assert "start from the float model" in line


def test_segmentation_model_that_is_quantised_already():
    options = {"representative_data": IMAGES, "input_shape": SIZE}
    trainable = quantize_aware(segmentation_model(), **options)
    assert "quantised already" in refusal(trainable)
    assert "quantised already" in refusal(trainable, input_shape=SIZE)


def test_model_that_keras_has_quantised():
    x = image()
    model = keras.Model(x, layers.Dense(3)(x))
    model.quantize("int8")
    assert "quantised already" in refusal(model)


def test_several_inputs_or_outputs():
    x, y = image(), keras.Input((*SIZE, 3))
    assert "2 inputs" in refusal(keras.Model([x, y], conv("c")(ops.add(x, y))))
    assert "2 outputs" in refusal(keras.Model(x, [conv("c")(x), conv("d")(x)]))


# === Sizes ===


@pytest.mark.parametrize("size", [(None, None), (8, None)])
def test_unknown_input_size(size):
    line = refusal(plain_model(size))
    assert "'plain' takes images of any size" in line
    assert "input_shape=(height, width)" in line
    trainable = quantize_aware(
        plain_model(size), representative_data=IMAGES, input_shape=SIZE
    )
    assert trainable.output.shape == (None, *SIZE, 3)


@pytest.mark.parametrize(
    "shape", [(8,), (8, 12, 1), (0, 12), (8, -12), (8.0, 12), "8x12", (1, 8, 12, 3)]
)
def test_wrong_input_shape(shape):
    assert "(height, width, 3)" in refusal(plain_model(), input_shape=shape)


def test_input_shape_beside_that_of_the_model():
    line = refusal(plain_model(), input_shape=(16, 12))
    assert "(8, 12, 3)" in line
    assert "(16, 12, 3)" in line


@pytest.mark.parametrize("channels", [1, 4])
def test_model_of_other_images(channels):
    x = image(channels=channels)
    line = refusal(keras.Model(x, conv("c")(x), name="other"))
    assert "RGB" in line
    assert "'other'" in line


# === Calibration data ===


@pytest.mark.parametrize(
    "data",
    [[], np.zeros((0, *SIZE, 3)), [np.zeros((0, *SIZE, 3))], iter(())],
    ids=["list", "array", "empty batch", "iterator"],
)
def test_empty_calibration_data(data):
    line = refusal(plain_model(), representative_data=data)
    assert "representative_data is empty" in line


def test_no_calibration_data():
    line = refusal(plain_model(), representative_data=None)
    assert "representative_data" in line


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1, 256])
def test_calibration_images_with_wrong_numbers(wrong):
    images = IMAGES.astype("float32")
    images[2, 3, 4, 1] = wrong
    assert "[0, 255]" in refusal(plain_model(), representative_data=images)


def test_calibration_images_in_fractions_of_one():
    fractions = np.stack([np.zeros_like(IMAGES[0]), *IMAGES]) / 255
    line = refusal(plain_model(), representative_data=fractions)
    assert "Image 1" in line  # black is black in both ranges
    assert "float64 numbers from 0 to 1" in line
    assert "multiply by 255" in line


def test_calibration_images_that_are_really_dark():
    dark = (IMAGES > 127).astype(np.uint8)
    trainable = quantize_aware(plain_model(), representative_data=dark)
    assert scheme_of(trainable)


def test_calibration_data_that_holds_no_images():
    assert "(8, 12, 1)" in refusal(plain_model(), representative_data=IMAGES[..., :1])
    assert "()" in refusal(plain_model(), representative_data="images/")


# === Numbers ===


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("keep_float", [[], ["classifier"]])
def test_weights_that_are_not_finite(wrong, keep_float):
    model = plain_model()
    kernel, bias = model.get_layer("classifier").get_weights()
    kernel[0, 0, 1, 2] = wrong
    model.get_layer("classifier").set_weights([kernel, bias])
    line = refusal(model, keep_float=keep_float)
    assert "kernel of 'classifier' is not finite" in line
    assert "Check its weights" in line


def test_weights_behind_a_relu_that_are_not_finite():
    model = plain_model()
    model.get_layer("stem").bias.assign([0, np.nan, 0, 0])
    assert "bias of 'stem' is not finite" in refusal(model)


def test_normalisation_of_a_negative_variance():
    x = image()
    norm = layers.BatchNormalization(name="norm")
    model = keras.Model(x, norm(conv("stem")(x)))
    norm.moving_variance.assign([1, 1, -1, 1])
    with np.errstate(invalid="ignore"):
        assert "'stem' is not finite" in refusal(model)


@pytest.mark.parametrize("position", [(0, 0), (5, 7)])
def test_activations_that_are_not_finite(position):
    """Where two finite numbers of one pixel make none: here 0 / 0."""
    images = np.full_like(IMAGES, 100)
    images[(slice(None), *position)] = 255
    x = image()
    y = ops.subtract(255.0, conv("copy", 3, use_bias=False)(x))
    model = keras.Model(x, conv("after", 2)(ops.divide(y, y)))
    model.get_layer("copy").kernel.assign(np.eye(3)[None, None])
    line = refusal(model, representative_data=images, keep_float=["*divide*"])
    assert "is not finite on the calibration images" in line
    assert "'divide" in line


def test_activations_that_overflow():
    model = plain_model()
    for name in ("stem", "classifier"):
        layer = model.get_layer(name)
        layer.kernel.assign(ops.full(layer.kernel.shape, 3e38))
    assert "'relu' is not finite" in refusal(model)


# === Arguments ===


@pytest.mark.parametrize("scheme", ["tflite", "", None])
def test_unknown_scheme(scheme):
    line = refusal(plain_model(), scheme=scheme)
    assert f"'{scheme}'" in line
    assert "litert, tensorrt" in line


def test_teacher_of_a_plain_model():
    line = refusal(plain_model(), teacher=plain_model())
    assert "teacher needs a SegmentationModel" in line
    assert "add the loss to your own training" in line


def test_teachers_that_do_not_fit():
    model = segmentation_model()
    options = {"input_shape": SIZE}
    assert "'subclassed'" in refusal(model, teacher=Subclassed(), **options)
    line = refusal(model, teacher=plain_model((16, 16)), **options)
    assert "teacher" in line
    assert "(16, 16, 3)" in line


def test_teacher_of_other_classes_is_refused_before_any_work():
    untouched = iter(IMAGES)
    line = refusal(
        segmentation_model(),
        teacher=segmentation_model(5),
        input_shape=SIZE,
        representative_data=untouched,
    )
    assert "5 classes, the model 3" in line
    assert len(list(untouched)) == len(IMAGES)


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf])
def test_wrong_distillation_weight(weight):
    model = segmentation_model()
    options = {"input_shape": SIZE, "teacher": model, "distillation_weight": weight}
    assert "distillation_weight" in refusal(model, **options)


@pytest.mark.parametrize("steps", [-1, 2.5, "7"])
def test_wrong_freeze_after(steps):
    assert "freeze_after" in refusal(plain_model(), freeze_after=steps)


def test_nothing_left_to_quantise():
    assert "nothing to quantise" in refusal(plain_model(), keep_float=["*"])


def test_keep_float_that_names_nothing():
    line = refusal(plain_model(), keep_float=["stem", "decoder.*"])
    assert "'decoder.*'" in line
    assert "stem" in line


def test_keep_float_of_one_pattern_is_no_list_of_letters():
    trainable = quantize_aware(
        plain_model(), representative_data=IMAGES, keep_float="st*"
    )
    kernels = {y.name for y in trainable.layers if isinstance(y, QuantizedConvolution)}
    assert "classifier" in kernels
    assert "stem" not in kernels


# === Operations ===


@keras.saving.register_keras_serializable(package="test_quantize_inputs")
class Wave(layers.Layer):
    def call(self, x):
        return 3 * ops.sin(x)


def net_with(function):
    """A network with an operation in a model within the model."""
    x = keras.Input((*SIZE, 4))
    block = keras.Model(x, conv("inner")(function(conv("first")(x))), name="block")
    entry = image()
    y = block(conv("stem")(layers.Rescaling(1 / 255)(entry)))
    return keras.Model(entry, conv("classifier", 3)(y))


@pytest.mark.parametrize(
    ("function", "kind", "path"),
    [
        (Wave(name="wave"), "Wave", "block.wave"),
        (ops.sin, "Sin", "block.sin"),
        (layers.Activation("mish", name="squash"), "Activation", "block.squash"),
        # A slope for each pixel.
        (layers.PReLU(name="leaky"), "PReLU", "block.leaky"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_unknown_operation_is_named_with_its_path(function, kind, path):
    line = refusal(net_with(function))
    assert f"{kind} '{path}'" in line
    assert f"keep_float=['{path}']" in line
    trainable = quantize_aware(
        net_with(function), representative_data=IMAGES, keep_float=[path]
    )
    calls = [call for call in Graph(trainable).calls if len(call.outputs) == 1]
    names = [call.operation.name for call in calls]
    start, end = names.index("block.first"), names.index("block.inner")
    assert names[start : end + 1] == [
        "block.first",
        "block.first.range",
        f"{path}.float_0",
        path,
        f"{path}.quantize",
        f"{path}.range",
        "block.inner",
    ]
    kinds = {type(y) for y in trainable.layers}
    assert {QuantizedConvolution, FloatBoundary} <= kinds


def test_unknown_operation_kept_float_trains_and_exports(tmp_path):
    model = net_with(layers.Activation("mish", name="squash"))
    trainable = quantize_aware(
        model, representative_data=IMAGES, keep_float=["block.squash"]
    )
    trainable.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    labels = np.random.default_rng(1).integers(0, 3, (4, *SIZE))
    before = trainable.get_layer("block.first").layer.kernel.numpy()
    trainable.fit(IMAGES.astype("float32"), labels, verbose=0)
    after = trainable.get_layer("block.first").layer.kernel.numpy()
    assert (before != after).any()
    path = tmp_path / "file.tflite"
    report = export_tflite(trainable, path, input_shape=SIZE, precision="int8")
    assert report.agreement > 0.98
    assert report.operations["TANH"] == 1
