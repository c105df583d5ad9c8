"""The peer networks beside what their official code computes."""

import dataclasses

import numpy as np
import peers
import pytest
from helpers import assert_close, nchw, nhwc

from keras_frm.layers import AlignedUpsampling, BilinearUpsampling
from keras_frm.layers.decoders import gated_flow_alignment, predicted_flow
from keras_frm.networks.ddrnet import DDRNet
from keras_frm.networks.pidnet import PIDNet
from keras_frm.networks.registry import NETWORKS, network_of
from keras_frm.networks.rtformer import RTFormer
from keras_frm.networks.segformer import SegFormer
from keras_frm.networks.sfnet import SFNet

# Layer that makes each output, by the names of the arrays.
DDRNET_OUTPUTS = {"out": "classifier", "aux": "auxiliary_classifier"}
PIDNET_OUTPUTS = {
    "out": "classifier",
    "aux_p": "auxiliary_p_classifier",
    "aux_d": "auxiliary_d_classifier",
}
PIDNET_FEATURES = {
    "layer3_": "stage_3_detail",
    "pag3": "attention_3",
    "diff3": "difference_3",
    "pag4": "attention_4",
    "diff4": "difference_4",
    "layer5": "stage_5_2",
    "layer5_d": "stage_5_boundary",
    "spp": "context",
    "dfm": "fusion",
}
SFNET_OUTPUTS = {
    "logits": "classifier",
    "dsn_a": "auxiliary_3_classifier",
    "dsn_b": "auxiliary_2_classifier",
    "dsn_c": "auxiliary_1_classifier",
}
SFNET_FEATURES = {f"layer{stage}": f"backbone:{stage - 1}" for stage in (1, 2, 3, 4)}
SFNET_FEATURES["head.ppm"] = "context"
SFNET_SMALL = SFNet((8, 10, 12, 14), (4, 5, 8), decoder_width=6, align_corners=True)
SEGFORMER_OUTPUTS = {
    f"stage{stage}_": f"backbone:{stage - 1}" for stage in (1, 2, 3, 4)
}
SEGFORMER_OUTPUTS["logits"] = "classifier"
RTFORMER_OUTPUTS = {"logits": "classifier", "aux": "auxiliary_classifier"}
RTFORMER_FEATURES = {
    "layer1": "stage_1",
    "layer2": "stage_2",
    "layer3": "stage_3",
    "layer3_": "stage_3_high",
    "layer4.attn_l": "stage_4.coarse_attention",
    "layer4.attn_h": "stage_4.fine_attention",
    "layer4.high": "stage_4:0",
    "layer4.low": "stage_4:1",
    "layer5.high": "stage_5:0",
    "layer5.low": "stage_5:1",
    "spp": "context",
}
RTFORMER_FULL = {**RTFORMER_OUTPUTS, "up": "upsampling"}
BIALIGNNET_OUTPUTS = {
    **{f"df{2 ** (index + 2)}_": f"backbone:{index}" for index in (1, 2, 3)},
    "logits": "head_pixels",
    "up": "upsampling",
}
# Of these the file has what follows: a sigmoid, or two resizings.
BIALIGNNET_HEADS = {
    "edge": "auxiliary_edge_pixels",
    "aux8_": "auxiliary_8_classifier",
    "aux16_": "auxiliary_16_classifier",
}
BIALIGNNET_FEATURES = {
    "ppm": "context",
    "sp": "spatial_4",
    "spatial2Context": "context_alignment",
    "context2Spatial": "spatial_alignment",
}
SMALL = {
    "ddrnet_23": (
        DDRNet(width=4, context_width=6, head_width=7),
        DDRNET_OUTPUTS,
        {"layer1": "stage_1", "layer4_": "stage_4_high", "spp": "context"},
    ),
    "ddrnet_39": (
        DDRNet(4, (3, 4, 6, 3), 3, exchanges=2, context_width=6, head_width=7),
        DDRNET_OUTPUTS,
        {"layer3_1_": "stage_3_1_high", "layer5": "stage_5", "spp": "context"},
    ),
    "pidnet_m2": (
        PIDNet(width=4, context_width=6, head_width=7),
        PIDNET_OUTPUTS,
        PIDNET_FEATURES,
    ),
    "pidnet_m3": (
        PIDNet(4, 3, 4, context_width=6, head_width=7, light=False),
        PIDNET_OUTPUTS,
        PIDNET_FEATURES,
    ),
    "sfnet_r18": (SFNET_SMALL, SFNET_OUTPUTS, SFNET_FEATURES),
    "segformer": (
        SegFormer((8, 10, 15, 16), (1, 2, 5, 4), (1, 1, 2, 1), decoder_width=12),
        SEGFORMER_OUTPUTS,
        {},
    ),
    "rtformer": (
        RTFormer(4, 2, 3, (True, False), context_width=6, head_width=5),
        RTFORMER_OUTPUTS,
        RTFORMER_FEATURES,
    ),
}
FULL = {
    "ddrnet_23_slim": DDRNET_OUTPUTS,
    "ddrnet_23": DDRNET_OUTPUTS,
    "ddrnet_39": DDRNET_OUTPUTS,
    "pidnet_s": PIDNET_OUTPUTS,
    "pidnet_m": PIDNET_OUTPUTS,
    "pidnet_l": PIDNET_OUTPUTS,
    "sfnet_r18": {**SFNET_OUTPUTS, "up": "upsampling"},
    "segformer_b0": {**SEGFORMER_OUTPUTS, "up": "upsampling"},
    "segformer_b1": {**SEGFORMER_OUTPUTS, "up": "upsampling"},
    "rtformer_slim": RTFORMER_FULL,
    "rtformer_base": RTFORMER_FULL,
    "bialignnet_df2": BIALIGNNET_OUTPUTS,
}
# Features of full width, where they are compared too.
FULL_FEATURES = {
    "rtformer_slim": RTFORMER_FEATURES,
    "rtformer_base": RTFORMER_FEATURES,
}
# Inputs of the file, where they are not two.
FULL_CASES = {"rtformer_slim": 3}
# Options with which a network does what the official code does.
ORIGINAL = {
    "sfnet_r18": {"align_corners": True},
    "bialignnet_df2": {"align_corners": True},
}
# Trainable numbers for 19 classes, without and with what training alone has.
PARAMETERS = {
    "ddrnet_23_slim": (5_695_987, 5_734_342),
    "ddrnet_23": (20_148_947, 20_299_366),
    "ddrnet_39": (32_360_275, 32_660_838),
    "pidnet_s": (7_625_715, 7_720_935),
    "pidnet_m": (28_538_515, 28_763_111),
    "pidnet_l": (36_939_571, 37_314_311),
    "sfnet_r18": (12_869_715, 13_320_588),
    "segformer_b0": (3_719_027, 3_719_027),
    "segformer_b1": (13_682_131, 13_682_131),
    "rtformer_slim": (5_365_043, 5_403_398),
    "rtformer_base": (17_765_971, 17_916_390),
    "bialignnet_df2": (18_901_412, 18_986_762),
}


@pytest.mark.parametrize("name", SMALL)
def test_reduced_width(parity_dir, tmp_path, name):
    arrays = np.load(parity_dir / f"{name}_small.npz")
    network, outputs, features = SMALL[name]
    parts = peers.loaded(network, peers.small_state(arrays), 7, tmp_path)
    for case in range(3):
        found = peers.outputs_of(parts, arrays[f"x{case}"], outputs | features)
        for output in outputs:
            assert_close(found[output], arrays[f"{output}{case}"])
        if case == 1:
            for feature in features:
                assert_close(found[feature], arrays[f"feat1.{feature}"])


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_full_width(parity_dir, tmp_path, name):
    arrays = np.load(parity_dir / f"{name}_full.npz")
    network = network_of(name, **ORIGINAL.get(name, {}))
    parts = peers.loaded(network, peers.full_state(arrays), 19, tmp_path)
    outputs, features = FULL[name], FULL_FEATURES.get(name, {})
    for case in range(FULL_CASES.get(name, 2)):
        x = peers.full_input(arrays, case)
        found = peers.outputs_of(parts, x, outputs | features)
        for output in outputs:
            peers.assert_points(found[output], arrays, f"{output}{case}")
        for feature in features:
            peers.assert_points(found[feature], arrays, f"feat{case}.{feature}")


@pytest.fixture
def half_pixel_flow(monkeypatch):
    """Feed the flow half-pixel features, as the arrays of half-pixel resizing do."""
    for module in (predicted_flow, gated_flow_alignment):
        monkeypatch.setattr(module, "AlignedUpsampling", BilinearUpsampling)


@pytest.mark.usefixtures("half_pixel_flow")
def test_half_pixel_sfnet(parity_dir, tmp_path):
    arrays = np.load(parity_dir / "sfnet_r18_small.npz")
    network = dataclasses.replace(SFNET_SMALL, align_corners=False)
    parts = peers.loaded(network, peers.small_state(arrays), 7, tmp_path)
    for case in range(3):
        found = peers.outputs_of(parts, arrays[f"x{case}"], SFNET_OUTPUTS)
        for output, values in found.items():
            assert_close(values, arrays[f"{output}_halfpixel{case}"])


# === BiAlignNet: what a table of layers does not say ===


@pytest.fixture(scope="module")
def bialignnet_arrays(parity_dir):
    return np.load(parity_dir / "bialignnet_df2_full.npz")


def bialignnet(arrays, tmp_path, align_corners):
    network = network_of("bialignnet_df2", align_corners=align_corners)
    return peers.loaded(network, peers.full_state(arrays), 19, tmp_path)


def bialignnet_heads(parts, x, upsampling):
    """Return the auxiliary outputs as the official code does, by array name."""
    found = peers.outputs_of(parts, x, BIALIGNNET_HEADS)
    found["edge"] = 1 / (1 + np.exp(-found["edge"]))
    for name in ("aux8_", "aux16_"):
        small = nhwc(found[name])
        height, width = (16 * side for side in small.shape[1:3])
        large = upsampling(small, np.zeros((1, height, width, 1)))
        found[name] = nchw(upsampling(large, nhwc(x)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", [0, 1])
def test_bialignnet_heads_and_features(bialignnet_arrays, tmp_path, case):
    arrays = bialignnet_arrays
    parts = bialignnet(arrays, tmp_path, align_corners=True)
    x = peers.full_input(arrays, case)
    for output, values in bialignnet_heads(parts, x, AlignedUpsampling()).items():
        peers.assert_points(values, arrays, f"{output}{case}")
    features = peers.outputs_of(parts, x, BIALIGNNET_FEATURES)
    for feature, values in features.items():
        peers.assert_points(values, arrays, f"feat{case}.{feature}")
    alignment = parts.network().get_layer("context_alignment")
    flow = alignment.predicted_flow(nhwc(features["sp"]), nhwc(features["ppm"]))
    name = f"feat{case}.spatial2Context.flow_make"
    peers.assert_points(nchw(flow), arrays, name)


@pytest.mark.slow
@pytest.mark.usefixtures("half_pixel_flow")
@pytest.mark.parametrize("case", [0, 1])
def test_half_pixel_bialignnet(bialignnet_arrays, tmp_path, case):
    arrays = bialignnet_arrays
    parts = bialignnet(arrays, tmp_path, align_corners=False)
    x = peers.full_input(arrays, case)
    found = peers.outputs_of(parts, x, BIALIGNNET_OUTPUTS)
    found |= bialignnet_heads(parts, x, BilinearUpsampling())
    for output, values in found.items():
        name = f"{output}_halfpixel{case}"
        peers.assert_points(values, arrays, name, noise_of=f"{output}{case}")


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    parts = NETWORKS[name].build(19)
    counts = (
        sum(np.prod(weight.shape) for weight in graph.trainable_weights)
        for graph in (parts.network(), parts.training_graph())
    )
    assert tuple(counts) == PARAMETERS[name]
