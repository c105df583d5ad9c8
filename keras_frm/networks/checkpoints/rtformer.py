"""Official names of RTFormer's layers (PaddlePaddle/PaddleSeg)."""

from keras_frm.networks.checkpoints.key_map import KeyMap

RTFORMER = KeyMap(
    layers={
        "stem_1": ("conv1.0", "conv1.1"),
        "stem_2": ("conv1.3", "conv1.4"),
        "stage_1": "layer1",
        "stage_2": "layer2",
        "stage_3": "layer3",
        "compression_3": ("compression3.2", "compression3.0"),
        "stage_3_high": "layer3_",
        "stage_4": "layer4",
        "stage_5": "layer5",
        "context": "spp",
        "head_norm": "seghead.bn1",
        "head_conv": ("seghead.conv1", "seghead.bn2"),
        "classifier": "seghead.conv2",
        "auxiliary_norm": "seghead_extra.bn1",
        "auxiliary_conv": ("seghead_extra.conv1", "seghead_extra.bn2"),
        "auxiliary_classifier": "seghead_extra.conv2",
    },
    auxiliary=("seghead_extra.",),
    classifiers=("classifier", "auxiliary_classifier"),
)
