"""Parameters and multiply-adds, counted by hand and against the paper."""

import keras
import numpy as np
import pytest
from tiny import batch, tiny_model, toy_model
from torch_files import official_van_state

from keras_frm import build_model, profile
from keras_frm.layers import DisentangledNonLocal


@pytest.fixture(scope="module")
def model():
    return tiny_model(num_classes=5)


def rows_of(model, size):
    return {row.name: row for row in profile(model, size)}


def test_two_convolutions_by_hand():
    rows = rows_of(toy_model(num_classes=3), (16, 24))
    # 4x4 kernels with stride 4 on 3 channels to 6, then 1x1 to 3 classes.
    assert rows["decoder"].multiply_adds == (4 * 6) * (4 * 4 * 3 * 6)
    assert rows["decoder"].parameters == 4 * 4 * 3 * 6 + 6
    assert rows["classifier"].multiply_adds == (4 * 6) * (6 * 3)
    assert rows["classifier"].parameters == 6 * 3 + 3
    assert rows["total"][1:] == (
        288 + 6 + 21,
        24 * (288 + 18),
        0,
    )


def test_size_counts_and_may_be_odd():
    assert rows_of(toy_model(), (32, 24))["total"].multiply_adds == 48 * (288 + 18)
    # Without padding the last three columns are in no 4x4 cell.
    assert rows_of(toy_model(), (17, 23))["total"].multiply_adds == 20 * (288 + 18)


@pytest.mark.parametrize("size", [(64, 96), (45, 75)])
def test_backbone_by_its_official_shapes(model, size):
    """Every convolution's weights once a position of its stage; sizes round up."""
    state = official_van_state((8, 8, 16, 16), (2, 2, 2, 2), (1, 1, 1, 1))
    expected = 0
    for name, array in state.items():
        if array.ndim == 4:
            stage = int(name.removeprefix("patch_embed").removeprefix("block")[0])
            stride = 2 ** (stage + 1)
            positions = -(-size[0] // stride) * -(-size[1] // stride)
            expected += positions * array.size
    trained = [a for n, a in state.items() if "running" not in n and "num_" not in n]
    row = rows_of(model, size)["backbone"]
    assert row.multiply_adds == expected
    assert row.parameters == sum(array.size for array in trained)
    assert row.attention_multiply_adds == 0


def test_attention_products_stand_apart(model):
    row = rows_of(model, (96, 160))["context"]
    positions, channels = 3 * 5, 8 + 8 + 16 + 16
    products = positions**2 * (channels // 4 + channels)
    assert row.attention_multiply_adds == products
    # q, k, m and g, then the cut to 8 channels and the feed-forward part of it.
    feed_forward = sum(
        int(np.prod(weight.shape))
        for weight in model.network.get_layer("context").trainable_weights
        if len(weight.shape) == 4
    )
    assert row.multiply_adds == positions * feed_forward
    others = [r for n, r in rows_of(model, (96, 160)).items() if n != "context"]
    assert [r.attention_multiply_adds for r in others] == [0, 0, 0, products]


def test_rows_add_up_and_follow_the_network(model):
    *parts, total = profile(model, (64, 64))
    names = [part.name for part in parts]
    assert names == ["backbone", "context", "decoder", "classifier"]
    for column in (1, 2, 3):
        assert total[column] == sum(part[column] for part in parts)
    weights = model.network.trainable_weights
    assert total.parameters == sum(int(np.prod(w.shape)) for w in weights)
    assert profile(model.network, (64, 64)) == [*parts, total]


def test_frozen_parts_count_as_much(model):
    expected = profile(model, (64, 64))
    frozen = tiny_model(num_classes=5, freeze_backbone=True)
    assert not frozen.network.get_layer("backbone").trainable_weights
    assert profile(frozen, (64, 64)) == expected


@pytest.mark.parametrize("size", [(64, 64), (-1, 8)])
def test_calls_are_put_back(model, size):
    images, _ = batch(count=1)
    before = model(images)
    if size == (64, 64):
        profile(model, size)
    else:
        with pytest.raises(ValueError, match="-1"):
            profile(model, size)
    for layer in model.network._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D | DisentangledNonLocal):
            assert layer.call.__func__ is type(layer).call
    np.testing.assert_array_equal(model(images), before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("context", "size", "millions", "billions"),
    [
        ("frm", (1024, 2048), 16.48, 214.82),
        ("ppm", (1024, 2048), 15.23, 213.21),
        ("dappm", (1024, 2048), 15.98, 214.81),
        ("frm", (720, 1280), 16.48, 94.55),
    ],
)
def test_papers_tables(context, size, millions, billions):
    model = build_model("cityscapes", context=context, alignment="flow")
    total = profile(model, size)[-1]
    assert total.parameters / 1e6 == pytest.approx(millions, abs=0.005)
    assert total.multiply_adds / 1e9 == pytest.approx(billions, rel=0.01)
