"""Official checkpoints of whole networks: what is wrapped, missing or of others."""

import numpy as np
import pytest
from torch_files import save_zip

from keras_frm import build_model
from keras_frm.models.weights import ClassifierLeftOut
from keras_frm.networks.checkpoints import official
from keras_frm.networks.checkpoints.modules import layer_targets
from keras_frm.networks.checkpoints.torch_file import CheckpointError
from keras_frm.networks.ddrnet import DDRNet
from keras_frm.networks.pidnet import PIDNet
from keras_frm.networks.sfnet import SFNet

NETWORKS = {
    "ddrnet": DDRNet(width=4, context_width=4, head_width=4),
    "pidnet": PIDNet(width=4, context_width=4, head_width=4),
    "sfnet": SFNet((4, 4, 4, 4), (4, 4, 8), decoder_width=4),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def model_of(name, preset="camvid"):
    return build_model(preset, network=NETWORKS[name])


def official_state(parts):
    """Return random tensors by their official names."""
    rng = np.random.default_rng(0)
    keys = official.KEY_MAPS[parts.name]
    state = {}
    for layer in parts.training_graph().layers:
        if layer.name in keys.layers:
            for key, target in layer_targets(layer, keys.layers[layer.name]):
                shape = target.torch_shape
                state[key] = rng.uniform(0.5, 1.5, shape).astype("float32")
    return state


def written(tmp_path, state, prefix=""):
    path = tmp_path / "official.pth"
    save_zip(path, {"state_dict": {prefix + key: state[key] for key in state}})
    return path


def weights_of(model):
    return {weight.path: np.array(weight) for weight in model.weights}


@every_network
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_every_weight_is_read(name, prefix, tmp_path):
    model = model_of(name)
    before = weights_of(model)
    state = official_state(model.parts)
    path = written(tmp_path, state | {"loss.weight": np.ones(3, "float32")}, prefix)
    loaded = build_model("camvid", network=NETWORKS[name], weights=path)
    for key, value in weights_of(loaded).items():
        if "seed" not in key and "embedding" not in key:
            assert not np.array_equal(value, before[key]), key
    found = official_state(loaded.parts)
    assert found.keys() == state.keys()


@every_network
def test_file_without_auxiliary_heads(name, tmp_path):
    model = model_of(name)
    heads = official.KEY_MAPS[name].auxiliary
    state = official_state(model.parts)
    state = {key: state[key] for key in state if not key.startswith(heads)}
    before = [np.array(w) for w in model.auxiliary_layers[0].weights]
    official.load_official_weights(model.parts, written(tmp_path, state))
    for old, new in zip(before, model.auxiliary_layers[0].weights, strict=True):
        np.testing.assert_array_equal(old, new)


@every_network
def test_file_of_other_classes_leaves_the_classifiers(name, tmp_path):
    path = written(tmp_path, official_state(model_of(name, "cityscapes").parts))
    with pytest.warns(ClassifierLeftOut, match=r"has 19 classes, not 11"):
        model = build_model("camvid", network=NETWORKS[name], weights=path)
    means = [w for w in model.network.weights if w.path.endswith("moving_mean")]
    assert all(np.ptp(mean) > 0 for mean in means)
    assert np.all(np.array(model.network.get_layer("classifier").bias) == 0)


@every_network
def test_wrong_tensors_are_named_and_nothing_is_loaded(name, tmp_path):
    model = model_of(name)
    state = official_state(model.parts)
    missing, misshapen = list(state)[1], list(state)[5]
    del state[missing]
    state[misshapen] = np.ones((2, 9), "float32")
    state["layer9.0.weight"] = np.ones(3, "float32")
    before = weights_of(model)
    with pytest.raises(
        CheckpointError,
        match=rf"not fit this network '{name}'; nothing was loaded\. "
        rf"missing: {missing}; surplus: layer9\.0\.weight; "
        rf"misshapen: {misshapen} \(2, 9\) instead of",
    ):
        official.load_official_weights(model.parts, written(tmp_path, state))
    for key, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[key])


def test_file_of_another_network(tmp_path):
    state = official_state(model_of("ddrnet").parts)
    wider = DDRNet(width=8, context_width=4, head_width=4)
    with pytest.raises(CheckpointError, match=r"conv1\.0\.weight \(4, 3, 3, 3\)"):
        build_model("camvid", network=wider, weights=written(tmp_path, state))


def test_trunk_of_imagenet(tmp_path):
    model = model_of("sfnet")
    trunk = {
        key.replace("layer0.0.", "conv1.").replace("layer0.1.", "bn1."): value
        for key, value in official_state(model.parts).items()
        if key.startswith("layer")
    }
    trunk["fc.weight"] = np.ones((1000, 4), "float32")
    before = weights_of(model)
    found = official.load_official_weights(model.parts, written(tmp_path, trunk))
    assert found == model.num_classes
    for key, value in weights_of(model).items():
        is_read = key.startswith("backbone/")
        assert np.array_equal(value, before[key]) != is_read, key
