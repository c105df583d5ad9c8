"""Official names of RTFormer's layers (PaddlePaddle/PaddleSeg)."""

from keras_frm.networks.checkpoints.key_map import (
    RESIDUAL_STEM,
    KeyMap,
    preactivation_head_names,
)

RTFORMER = KeyMap(
    layers={
        **RESIDUAL_STEM,
        "stage_3": "layer3",
        "compression_3": ("compression3.2", "compression3.0"),
        "stage_3_high": "layer3_",
        "stage_4": "layer4",
        "stage_5": "layer5",
        "context": "spp",
        **preactivation_head_names("head", "seghead"),
        **preactivation_head_names("auxiliary", "seghead_extra"),
    },
    auxiliary=("seghead_extra.",),
    classifiers=("classifier", "auxiliary_classifier"),
)
