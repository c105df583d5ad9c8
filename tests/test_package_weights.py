"""The weights that this version comes with: whole, small and described."""

import numpy as np
import pytest

from keras_frm import Segmenter, build_model
from keras_frm.data.representative import scenes
from keras_frm.presets import preset
from keras_frm.weights import shipped

SHIPPED = tuple(shipped.shipped_weights().values())
MOST_BYTES = 25e6  # of all of them in the wheel

pytestmark = pytest.mark.filterwarnings(
    "ignore::keras_frm.weights.shipped.LicenceNotice"
)


def test_they_are_few_and_small():
    files = [f for each in SHIPPED for f in (each.weights_file(), each.device_file())]
    assert 0 < sum(file.stat().st_size for file in files) < MOST_BYTES
    assert sum(each.default for each in SHIPPED) == 1


def test_nothing_else_lies_beside_them():
    named = {shipped.TABLE, "__init__.py", "shipped.py"}
    for each in SHIPPED:
        named |= {each.weights, each.device, f"{each.name}.md"}
    lying = {path.name for path in shipped.FOLDER.iterdir()}
    assert lying - {"__pycache__"} == named


@pytest.mark.parametrize("weights", SHIPPED, ids=lambda each: each.name)
def test_card_and_terms(weights):
    assert "non-commercial" in weights.licence
    assert weights.classes == tuple(preset(weights.preset).labels.classes)
    assert 0.3 < weights.mean_iou_int8 <= weights.mean_iou + 0.01 < 1
    card = weights.card()
    assert f"{100 * weights.mean_iou_int8:.2f}%" in card
    for name in weights.classes:
        assert f"| {name} |" in card
    assert "![" not in card  # no pictures of the data


@pytest.mark.slow
@pytest.mark.parametrize("weights", SHIPPED, ids=lambda each: each.name)
def test_network_and_int8_file_see_the_same(weights):
    segmenter = Segmenter(weights.name)
    assert segmenter.labels.classes == weights.classes
    assert segmenter.metadata.precision == "int8"
    model = build_model(weights.preset, weights=weights.name)
    images = scenes(segmenter.input_size, 3)
    masks = np.stack([segmenter(image.astype(np.uint8)) for image in images])
    logits = model.predict(np.stack(images).astype("float32"), verbose=0)
    assert np.mean(logits.argmax(-1) == masks) > 0.85
    assert len(np.unique(masks)) > 3
