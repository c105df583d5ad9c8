"""The peer networks beside what their official code computes."""

import numpy as np
import peers
import pytest
from helpers import assert_close

from keras_frm.networks.ddrnet import DDRNet
from keras_frm.networks.registry import NETWORKS

# Layer that makes each output, by the names of the arrays.
DDRNET_OUTPUTS = {"out": "classifier", "aux": "auxiliary_classifier"}
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
}
FULL = {
    "ddrnet_23_slim": DDRNET_OUTPUTS,
    "ddrnet_23": DDRNET_OUTPUTS,
    "ddrnet_39": DDRNET_OUTPUTS,
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
    parts = peers.loaded(NETWORKS[name], peers.full_state(arrays), 19, tmp_path)
    for case in range(2):
        found = peers.outputs_of(parts, peers.full_input(arrays, case), FULL[name])
        for output, values in found.items():
            peers.assert_points(values, arrays, f"{output}{case}")
