"""Official names of SFNet's layers (lxtGH/SFSegNets)."""

from keras_frm.networks.checkpoints.key_map import KeyMap

SFNET = KeyMap(
    layers={
        # The stem's convolutions, the BatchNorm of the last one, and the stages.
        "backbone": ("layer0.0", "layer0.1", "layer"),
        "context": "head.ppm",
        "decoder": "head",
        "classifier": "head.conv_last.1",
        "auxiliary_3_conv": ("head.dsn.2.0", "head.dsn.2.1"),
        "auxiliary_3_classifier": "head.dsn.2.4",
        "auxiliary_2_conv": ("head.dsn.1.0", "head.dsn.1.1"),
        "auxiliary_2_classifier": "head.dsn.1.4",
        "auxiliary_1_conv": ("head.dsn.0.0", "head.dsn.0.1"),
        "auxiliary_1_classifier": "head.dsn.0.4",
    },
    auxiliary=("head.dsn.0.", "head.dsn.1.", "head.dsn.2."),
    classifiers=(
        "classifier",
        "auxiliary_3_classifier",
        "auxiliary_2_classifier",
        "auxiliary_1_classifier",
    ),
)

# The trunk of ImageNet, `resnet18-deep-inplane128.pth`, with a classifier of its own.
SFNET_TRUNK = KeyMap(
    layers={"backbone": ("conv1", "bn1", "layer")},
    auxiliary=("fc.",),
    classifiers=(),
)
