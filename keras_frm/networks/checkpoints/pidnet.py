"""Official names of PIDNet's layers (XuJiacong/PIDNet)."""

from keras_frm.networks.checkpoints.key_map import (
    RESIDUAL_STEM,
    KeyMap,
    preactivation_head_names,
)

PIDNET = KeyMap(
    layers={
        **RESIDUAL_STEM,
        "stage_3": "layer3",
        "stage_3_detail": "layer3_",
        "compression_3": ("compression3.0", "compression3.1"),
        "attention_3": "pag3",
        "difference_3": ("diff3.0", "diff3.1"),
        "stage_4": "layer4",
        "stage_4_detail": "layer4_",
        "compression_4": ("compression4.0", "compression4.1"),
        "attention_4": "pag4",
        "difference_4": ("diff4.0", "diff4.1"),
        # The branch for boundaries of PIDNet-S and -M,
        "stage_3_boundary": "layer3_d",
        "stage_4_boundary": "layer4_d.0",
        # and of PIDNet-L.
        "stage_3_boundary_wide": "layer3_d",
        "stage_4_boundary_wide": "layer4_d",
        "stage_5_detail": "layer5_.0",
        "stage_5_1": "layer5.0",
        "stage_5_2": "layer5.1",
        "stage_5_boundary": "layer5_d.0",
        "context": "spp",
        "fusion": "dfm",
        **preactivation_head_names("head", "final_layer"),
        **preactivation_head_names("auxiliary_p", "seghead_p"),
        **preactivation_head_names("auxiliary_d", "seghead_d"),
    },
    auxiliary=("seghead_p.", "seghead_d."),
    classifiers=("classifier", "auxiliary_p_classifier"),
)
