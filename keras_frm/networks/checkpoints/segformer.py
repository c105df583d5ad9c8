"""Official names of SegFormer's layers (NVlabs/SegFormer)."""

from keras_frm.networks.checkpoints.key_map import KeyMap

SEGFORMER = KeyMap(
    layers={
        # What the names of the backbone's modules begin with.
        "backbone": "backbone.",
        "decoder": "decode_head",
        "classifier": "decode_head.linear_pred",
    },
    auxiliary=(),
    classifiers=("classifier",),
    # A classifier that the decoder's base class makes.
    unused=("decode_head.conv_seg.",),
)

# The backbone of ImageNet, `mit_b0.pth` and so on, with a classifier of its own.
SEGFORMER_TRUNK = KeyMap(
    layers={"backbone": ""},
    auxiliary=("head.",),
    classifiers=(),
)
