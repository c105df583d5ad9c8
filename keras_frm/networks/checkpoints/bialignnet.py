"""Official names of BiAlignNet's layers (jojacola/BiAlignNet)."""

from keras_frm.networks.checkpoints.key_map import KeyMap

BIALIGNNET = KeyMap(
    layers={
        # What the names of the backbone's stages begin with.
        "backbone": "backbone.stage",
        "context": "ppm",
        "spatial_1": ("sp.conv1.conv", "sp.conv1.bn"),
        "spatial_2": ("sp.conv2.conv", "sp.conv2.bn"),
        "spatial_3": ("sp.conv3.conv", "sp.conv3.bn"),
        "spatial_4": ("sp.conv_out.conv", "sp.conv_out.bn"),
        "context_alignment": "spatial2Context",
        "spatial_alignment": "context2Spatial",
        "head_conv": ("conv_out.conv.conv", "conv_out.conv.bn"),
        "classifier": "conv_out.conv_out",
        "auxiliary_edge_conv": ("spatial_out.conv.conv", "spatial_out.conv.bn"),
        "auxiliary_edge_classifier": "spatial_out.conv_out",
        "auxiliary_8_classifier": "cxt8_aux.conv_out",
        "auxiliary_16_classifier": "cxt16_aux.conv_out",
    },
    auxiliary=("spatial_out.", "cxt8_aux.", "cxt16_aux."),
    classifiers=(
        "classifier",
        "auxiliary_8_classifier",
        "auxiliary_16_classifier",
    ),
    pixel_shuffles={"classifier": 8, "auxiliary_edge_classifier": 8},
)

# The trunk of ImageNet, `df2_imagenet.pth`, with a classifier of its own.
BIALIGNNET_TRUNK = KeyMap(
    layers={"backbone": "stage"},
    auxiliary=("fc.",),
    classifiers=(),
)
