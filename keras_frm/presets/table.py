"""The one table of presets: dataset, classes, sizes, recipe and network by name."""

import dataclasses

from keras_frm.labels import BDD100K, CAMVID, CITYSCAPES
from keras_frm.presets.recipe import Recipe
from keras_frm.presets.registry import Preset, register_preset

_PAPER = "arXiv 2412.08670, section 3.1"
# For small data and little hardware, from ImageNet's weights.
_SMALL = Recipe(
    optimizer="adamw",
    learning_rate=5e-4,
    weight_decay=1e-2,
    warmup_steps=50,
    adjust_bias=True,
    contrastive_weight=0.0,
)
# Cityscapes' class weights in the code of HRNet, which DDRNet and PIDNet train with.
_HRNET_WEIGHTS = (
    *(0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
    *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
)
_HRNET = Recipe(
    weight_decay=5e-4,
    loss="ohem",
    class_weights=_HRNET_WEIGHTS,
    contrastive_weight=0.0,
)
_MEASURED = "chosen here by results/recipes.csv and results/rates.csv"

register_preset(
    Preset(
        name="cityscapes",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(1024, 1024),
        batch_size=16,
        epochs=300,
        source=_PAPER,
    )
)
register_preset(
    Preset(
        name="bdd100k",
        dataset="bdd100k",
        labels=BDD100K,
        crop=(720, 720),
        batch_size=32,
        epochs=300,
        source=_PAPER,
    )
)
register_preset(
    Preset(
        name="camvid",
        dataset="camvid",
        labels=CAMVID,
        crop=(352, 480),
        batch_size=8,
        epochs=200,
        colour_jitter=0.2,
        recipe=Recipe(
            optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2, warmup_steps=100
        ),
        source="chosen here for training from scratch; not in the paper",
    )
)
register_preset(
    Preset(
        name="camvid_small",
        dataset="camvid",
        labels=CAMVID,
        crop=(240, 320),
        batch_size=8,
        epochs=64,
        colour_jitter=0.2,
        recipe=dataclasses.replace(
            _SMALL,
            learning_rate=1e-3,
            # keras_frm.data.class_balance.square_root_weights of the training masks.
            class_weights=(
                *(0.516, 0.439, 2.136, 0.376, 1.0, 0.679),
                *(1.956, 1.995, 0.875, 2.649, 3.922),
            ),
        ),
        network="frm_lite0",
        source=_MEASURED,
    )
)
register_preset(
    Preset(
        name="cityscapes_small",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(192, 384),
        batch_size=8,
        epochs=10,
        colour_jitter=0.2,
        recipe=dataclasses.replace(
            _SMALL,
            class_weights=(
                *(0.153, 0.385, 0.192, 0.97, 1.0, 1.091, 2.605, 1.443, 0.233, 0.905),
                *(0.473, 0.889, 3.277, 0.38, 1.389, 1.842, 1.974, 3.345, 1.38),
            ),
        ),
        network="frm_lite0",
        source=_MEASURED,
    )
)
register_preset(
    Preset(
        name="cityscapes_ddrnet",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(1024, 1024),
        batch_size=12,
        epochs=484,
        recipe=dataclasses.replace(
            _HRNET, auxiliary_losses={"high": "cross_entropy_of_all_pixels"}
        ),
        network="ddrnet_23_slim",
        source="arXiv 2101.06085, and HRNet's code, which its authors name",
    )
)
register_preset(
    Preset(
        name="cityscapes_pidnet",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(1024, 1024),
        batch_size=12,
        epochs=484,
        scale_range=(0.5, 2.1),
        recipe=dataclasses.replace(
            _HRNET,
            auxiliary_losses={"p": "cross_entropy_of_all_pixels"},
            boundary_aware_weight=1.0,
        ),
        network="pidnet_s",
        source="XuJiacong/PIDNet, configs/cityscapes",
    )
)
register_preset(
    Preset(
        name="cityscapes_sfnet",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(1024, 1024),
        batch_size=16,
        epochs=300,
        colour_jitter=0.25,
        recipe=Recipe(
            power=1.0,
            loss="ohem",
            ohem_threshold=0.7,
            ohem_kept=100_000,
            auxiliary_weights={"level_1": 1.0, "level_2": 1.0, "level_3": 1.0},
            contrastive_weight=0.0,
        ),
        network="sfnet_r18",
        source="lxtGH/SFSegNets, scripts/cityscapes",
    )
)
register_preset(
    Preset(
        name="cityscapes_segformer",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(1024, 1024),
        batch_size=8,
        epochs=430,  # 160,000 steps
        colour_jitter=0.25,
        recipe=Recipe(
            optimizer="adamw",
            learning_rate=6e-4,  # the head's; the backbone has a tenth
            backbone_multiplier=0.1,
            weight_decay=1e-2,
            power=1.0,
            warmup_steps=1500,
            contrastive_weight=0.0,
        ),
        network="segformer_b0",
        source="NVlabs/SegFormer, segformer.b1.1024x1024.city.160k.py",
    )
)
register_preset(
    Preset(
        name="cityscapes_rtformer",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(512, 1024),
        batch_size=12,
        epochs=485,  # 120,000 steps
        colour_jitter=0.4,
        recipe=Recipe(
            optimizer="adamw",
            learning_rate=4e-3,  # the pooling's and the heads'; the rest has a tenth
            backbone_multiplier=0.1,
            weight_decay=1.25e-2,
            power=1.0,
            warmup_steps=1500,
            contrastive_weight=0.0,
        ),
        network="rtformer_slim",
        source="PaddlePaddle/PaddleSeg, configs/rtformer",
    )
)
register_preset(
    Preset(
        name="cityscapes_bialignnet",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(1024, 1024),
        batch_size=16,
        epochs=500,
        colour_jitter=0.25,
        recipe=Recipe(
            loss="ohem",
            ohem_threshold=0.7,
            ohem_kept=80_000,  # 10,000 on each of eight GPUs
            auxiliary_losses={"stride_8": "ohem", "stride_16": "ohem"},
            auxiliary_weights={"edge": 25.0, "stride_8": 0.3, "stride_16": 0.3},
            boundary_aware_weight=1.0,
            boundary_kept=40_000,  # 5,000 on each
            contrastive_weight=0.0,
        ),
        network="bialignnet_df2",
        source="jojacola/BiAlignNet, scripts/train",
    )
)
register_preset(
    Preset(
        name="synthetic",
        dataset="synthetic",
        labels=CITYSCAPES,
        crop=(128, 256),
        batch_size=4,
        epochs=20,
        scale_range=(0.75, 1.5),
        recipe=Recipe(
            optimizer="adamw", learning_rate=2e-3, weight_decay=1e-2, warmup_steps=50
        ),
        source="chosen here for the demo on procedural scenes",
    )
)
