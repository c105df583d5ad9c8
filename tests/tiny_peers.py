"""The peer networks, narrow."""

from keras_frm.networks.bialignnet import BiAlignNet
from keras_frm.networks.ddrnet import DDRNet
from keras_frm.networks.pidnet import PIDNet
from keras_frm.networks.rtformer import RTFormer
from keras_frm.networks.segformer import SegFormer
from keras_frm.networks.sfnet import SFNet

# Name -> a network of its kind, and the preset with its recipe.
TINY_PEERS = {
    "ddrnet_23": (
        DDRNet(width=8, context_width=8, head_width=8),
        "cityscapes_ddrnet",
    ),
    "ddrnet_39": (
        DDRNet(8, (3, 4, 6, 3), 3, exchanges=2, context_width=8, head_width=8),
        "cityscapes_ddrnet",
    ),
    "pidnet_s": (
        PIDNet(width=8, context_width=8, head_width=8),
        "cityscapes_pidnet",
    ),
    "pidnet_l": (
        PIDNet(8, 3, 4, context_width=8, head_width=8, light=False),
        "cityscapes_pidnet",
    ),
    "sfnet_r18": (
        SFNet((8, 8, 12, 16), (4, 4, 8), decoder_width=8),
        "cityscapes_sfnet",
    ),
    "segformer_b0": (
        SegFormer((8, 8, 12, 16), (1, 2, 3, 4), (1, 1, 2, 1), decoder_width=8),
        "cityscapes_segformer",
    ),
    "rtformer_base": (
        RTFormer(8, 4, 3, (True, False), context_width=8, head_width=4),
        "cityscapes_rtformer",
    ),
    "bialignnet_df2": (
        BiAlignNet((8, 8, 12, 16), ((1, 1), (2, 1), (1, 1)), 8, width=8),
        "cityscapes_bialignnet",
    ),
}
