"""Official names of DDRNet's layers (ydhongHIT/DDRNet)."""

from keras_frm.networks.checkpoints.key_map import (
    RESIDUAL_STEM,
    KeyMap,
    preactivation_head_names,
)

DDRNET = KeyMap(
    layers={
        **RESIDUAL_STEM,
        # Stage 3 of DDRNet-23 and -23-slim,
        "stage_3": "layer3",
        "stage_3_high": "layer3_",
        "down_3_1": ("down3.0", "down3.1"),
        "compression_3": ("compression3.0", "compression3.1"),
        # and of DDRNet-39, in two parts.
        "stage_3_1": "layer3_1",
        "stage_3_1_high": "layer3_1_",
        "down_3_1_1": ("down3_1.0", "down3_1.1"),
        "compression_3_1": ("compression3_1.0", "compression3_1.1"),
        "stage_3_2": "layer3_2",
        "stage_3_2_high": "layer3_2_",
        "down_3_2_1": ("down3_2.0", "down3_2.1"),
        "compression_3_2": ("compression3_2.0", "compression3_2.1"),
        "stage_4": "layer4",
        "stage_4_high": "layer4_",
        "down_4_1": ("down4.0", "down4.1"),
        "down_4_2": ("down4.3", "down4.4"),
        "compression_4": ("compression4.0", "compression4.1"),
        "stage_5": "layer5.0",
        "stage_5_high": "layer5_.0",
        "context": "spp",
        **preactivation_head_names("head", "final_layer"),
        **preactivation_head_names("auxiliary", "seghead_extra"),
    },
    auxiliary=("seghead_extra.",),
    classifiers=("classifier", "auxiliary_classifier"),
)
