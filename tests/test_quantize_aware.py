"""Training with the arithmetic of an int8 file: graphs, gradients, files, gains."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops
from tiny import batch, weights_of

from keras_frm import export_tflite, quantize_aware
from keras_frm.graph.flatten import flatten
from keras_frm.graph.graph import Graph
from keras_frm.quantization.freeze import freeze, without_fake_quant
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution
from keras_frm.quantization.tensor_errors import tensor_errors
from keras_frm.runtime.backends.litert import load_interpreter
from keras_frm.runtime.backends.network import open_network

pytest.importorskip("tf_keras")

SIZE = (16, 24)
IMAGES, LABELS = batch(16, SIZE, ignored=False)
UNSEEN, _ = batch(8, SIZE, ignored=False, seed=5)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def image(size=SIZE):
    return keras.Input((*size, 3), name="image")


def conv(name, filters=4, size=1, **options):
    return layers.Conv2D(filters, size, padding="same", name=name, **options)


def mobile_net():
    """Inverted residuals with BatchNorms, a gate of the whole image's mean."""

    def norm(x):
        return layers.BatchNormalization(momentum=0.5)(x)

    def relu6(x):
        return layers.ReLU(6.0)(norm(x))

    def depthwise(x):
        return layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)

    x = entry = image()
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = relu6(conv("stem", 8, 3, strides=2, use_bias=False)(x))
    x = norm(conv("first", 6, use_bias=False)(relu6(depthwise(x))))
    y = relu6(conv("expand", 18, use_bias=False)(x))
    y = norm(conv("project", 6, use_bias=False)(relu6(depthwise(y))))
    x = layers.Add()([x, y])
    gate = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, conv("gate", 6, activation="sigmoid")(gate)])
    x = layers.UpSampling2D(2, interpolation="bilinear")(conv("classifier", 3)(x))
    return keras.Model(entry, x)


def residual_net():
    """Activations in every form, a sum, a pyramid of two sizes, a nested model."""
    inner = keras.Sequential([keras.Input((8, 12, 8)), conv("inner", 8, 3)], name="b")
    x = entry = image()
    x = layers.Rescaling(1 / 255)(x)
    x = conv("stem", 8, 3, strides=2, activation="relu")(x)
    y = inner(conv("branch", 8, 3, activation="relu")(x))
    x = layers.Activation("relu")(layers.Add()([x, y]))
    z = layers.ReLU()(conv("down", 8, 3, strides=2)(x))
    z = ops.image.resize(z, (8, 12), interpolation="bilinear")
    x = layers.Concatenate()([x, layers.MaxPooling2D(3, 1, "same")(x), z])
    x = conv("classifier", 3)(conv("mix", 8, activation="relu6")(x))
    return keras.Model(entry, ops.image.resize(x, SIZE, interpolation="bilinear"))


def train(model, epochs=15, rate=1e-2, batch_size=4, **options):
    """Train and return the losses of the epochs."""
    model.compile(keras.optimizers.Adam(rate), LOSS)
    images = IMAGES.astype("float32")
    options = {"epochs": epochs, "batch_size": batch_size, "verbose": 0, **options}
    return model.fit(images, LABELS, **options).history["loss"]


@functools.cache
def trained(make):
    """A trained float network, not to be changed."""
    keras.utils.set_random_seed(0)
    model = make()
    train(model)
    return model


def accuracy(model):
    logits = model.predict(IMAGES.astype("float32"), batch_size=4, verbose=0)
    return np.mean(logits.argmax(axis=-1) == LABELS)


def quantized(model, **options):
    """The model ready for training, its ranges from the images."""
    return quantize_aware(model, representative_data=IMAGES, **options)


def ranges_of(model):
    """The layers that round tensors, by name."""
    network = getattr(model, "network", model)
    kinds = (FakeQuant, MovingAverageFakeQuant)
    return {layer.name: layer for layer in network.layers if isinstance(layer, kinds)}


def kernels_of(model):
    network = getattr(model, "network", model)
    return [
        layer for layer in network.layers if isinstance(layer, QuantizedConvolution)
    ]


def run_file(path, images):
    """What a file gives for images, decoded."""
    network = open_network(path, 1, verify=False)
    return np.stack([network.run(one) for one in images])


def assert_file_is_the_same(model, folder, size=SIZE):
    """Export as int8 without calibration and compare masks and logits."""
    images = np.concatenate([UNSEEN, IMAGES])
    expected = model.predict(images.astype("float32"), batch_size=4, verbose=0)
    for output in ("mask", "logits"):
        report = export_tflite(
            model, folder / f"{output}.tflite", input_shape=size, precision="int8",
            output=output,
        )  # fmt: skip
        assert report.agreement == 1
        assert load_interpreter(report.path.read_bytes(), 1).get_signature_list() == {
            "serving_default": {"inputs": ["image"], "outputs": [output]}
        }
    masks = run_file(folder / "mask.tflite", images)
    np.testing.assert_array_equal(masks, expected.argmax(axis=-1))
    logits = run_file(folder / "logits.tflite", images)
    np.testing.assert_array_equal(logits, expected)
    assert len(np.unique(masks)) == expected.shape[-1]


# === From training to the file ===


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [mobile_net, pytest.param(residual_net, marks=pytest.mark.long)]
)
def test_trained_network_and_its_file_give_the_same_numbers(make, tmp_path):
    model = trained(make)
    before = weights_of(model)
    trainable = quantized(model)
    losses = train(trainable, epochs=4, rate=1e-3)
    assert losses[-1] < losses[0] < 0.1
    assert accuracy(trainable) > 0.98
    assert_file_is_the_same(trainable, tmp_path)
    for path, weight in weights_of(model).items():
        np.testing.assert_array_equal(weight, before[path])


@pytest.mark.slow
def test_network_before_training_is_that_of_quantisation_after_training(tmp_path):
    model = trained(residual_net)
    trainable = quantized(model)
    assert accuracy(trainable) >= accuracy(model) - 0.02
    assert_file_is_the_same(trainable, tmp_path)
    images = IMAGES[:4].astype("float32")
    np.testing.assert_allclose(
        without_fake_quant(trainable)(images), model(images), rtol=1e-3, atol=1e-3
    )


@pytest.mark.slow
def test_layers_called_twice(tmp_path):
    x = image()
    twice, relu = conv("twice", 3, 3), layers.ReLU()
    y = relu(twice(relu(twice(layers.Rescaling(1 / 255)(x)))))
    trainable = quantized(keras.Model(x, conv("classifier", 3)(y)))
    train(trainable, epochs=1)
    images = IMAGES[:4].astype("float32")
    frozen = freeze(flatten(trainable, (*SIZE, 3), None))
    np.testing.assert_allclose(frozen(images), trainable(images), rtol=1e-4, atol=1e-4)
    export_tflite(trainable, tmp_path / "a.tflite", input_shape=SIZE, precision="int8")


def test_errors_of_a_trained_graph_tensor_by_tensor():
    trainable = quantized(trained(residual_net))
    graph = flatten(trainable, (*SIZE, 3))
    errors = tensor_errors(without_fake_quant(graph), freeze(graph), IMAGES[:2])
    assert {"image", "down.activation", "classifier"} - {e.name for e in errors} <= {
        "down.activation"
    }
    assert min(error.snr_db for error in errors) > 15
    assert max(error.clipped for error in errors) < 0.05


# === Learning ===


@pytest.mark.parametrize(
    "optimizer",
    [keras.optimizers.Adam(1e-3), keras.optimizers.SGD(1e-3, momentum=0.9)],
    ids=["adam", "sgd"],
)
def test_training_goes_on_where_the_float_network_was(optimizer):
    """Folding leaves small kernels, which a step must not overwrite."""
    model = trained(residual_net)
    reference = model.evaluate(IMAGES.astype("float32"), LABELS, verbose=0)
    trainable = quantized(model)
    trainable.compile(optimizer, LOSS)
    options = {"epochs": 3, "batch_size": 4, "shuffle": False, "verbose": 0}
    history = trainable.fit(IMAGES.astype("float32"), LABELS, **options)
    assert max(history.history["loss"]) < 1.5 * reference


@pytest.mark.slow
def test_every_weight_learns_and_ranges_follow():
    trainable = quantized(trained(mobile_net))
    before, ends = weights_of(trainable), _ends(trainable)
    train(trainable, epochs=1)
    for weight in trainable.trainable_weights:
        change = np.abs(weight.numpy() - before[weight.path])
        assert np.mean(change > 0) > 0.5, weight.path
    roundings = ranges_of(trainable)
    own = {id(w) for layer in roundings.values() for w in layer.weights}
    assert not own & {id(w) for w in trainable.trainable_weights}
    for name, layer in roundings.items():
        moved = _ends(trainable)[name] != ends[name]
        assert moved == isinstance(layer, MovingAverageFakeQuant), name


def _ends(model):
    return {n: [float(e) for e in r.ends()] for n, r in ranges_of(model).items()}


@pytest.mark.long
def test_ranges_stay_after_their_steps():
    trainable = quantized(trained(residual_net), freeze_after=4)
    train(trainable, epochs=1)
    ends = _ends(trainable)
    train(trainable, epochs=1)
    assert _ends(trainable) == ends
    assert ends != _ends(quantized(trained(residual_net)))


# === What has a range, and which ===


def file_tensors(model, path):
    """Export without a check of masks; the details of the file's tensors."""
    export_tflite(
        model, path, input_shape=SIZE, precision="int8", output="logits",
        min_agreement=0,
    )  # fmt: skip
    return load_interpreter(path.read_bytes(), 1).get_tensor_details()


def rounded_by(model):
    """For each range: the operations that make what it rounds."""
    graph = Graph(model)
    found = {}
    for call in graph.calls:
        if isinstance(call.operation, FakeQuant) and call.outputs[0].shape:
            maker = graph.maker(call.inputs[0])
            name = maker.operation.name if maker else "image"
            found.setdefault(call.operation.name, []).append(name)
    return found


def test_sums_resizing_pooling_and_concatenation_share_one_range():
    model = quantized(residual_net())
    shared = [makers for makers in rounded_by(model).values() if len(makers) > 1]
    pyramid, logits = shared
    kinds = {type(model.get_layer(n)).__name__ for n in pyramid if "pool" in n}
    assert kinds == {"MaxPooling2D"}
    assert len(pyramid) == 7
    assert {"stem.activation", "b.inner"} < set(pyramid)  # the sum's
    assert {"classifier"} < set(logits)
    assert len(logits) == 2
    for makers in shared:
        (layer,) = {
            model.get_layer(name)
            for name, members in rounded_by(model).items()
            if members == makers
        }
        assert layer.members == len(makers)


@pytest.mark.slow
def test_kept_float_has_no_rounding_in_training_nor_in_the_file(tmp_path):
    model = quantized(residual_net(), keep_float=["down", "b.*"])
    plain = [layer.name for layer in model.layers if type(layer) is layers.Conv2D]
    assert sorted(plain) == ["b.inner", "down"]
    train(model, epochs=1)
    details = file_tensors(model, tmp_path / "net.tflite")
    kernels = {}
    for detail in details:
        if tuple(detail["shape"]) == (8, 3, 3, 8):
            kind = np.dtype(detail["dtype"]).name
            kernels[kind] = kernels.get(kind, 0) + 1
    assert kernels == {"float32": 2, "int8": 1}  # "branch" is the integer one


def normalised_net():
    x = entry = image()
    x = conv("before", 6)(layers.Rescaling(1 / 255)(x))
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(entry, conv("after", 3)(x))


def test_layer_norm_has_ranges_before_and_behind_it_only():
    model = quantized(normalised_net())
    calls = [call for call in Graph(model).calls if len(call.outputs) == 1]
    names = [call.operation.name for call in calls]
    start = names.index("before")
    assert names[start:] == [
        "before", "before.range", "norm.channels.float_0", "norm.channels", "norm",
        "norm.quantize", "norm.range", "after", "after.range",
    ]  # fmt: skip
    norm = model.get_layer("norm")
    before = norm.gamma.numpy()
    train(model, epochs=1)
    assert (norm.gamma.numpy() != before).all()
