"""The one table of presets: dataset, classes, sizes, recipe and network by name."""

from keras_frm.labels import BDD100K, CAMVID, CITYSCAPES
from keras_frm.presets.recipe import Recipe
from keras_frm.presets.registry import Preset, register_preset

_PAPER = "arXiv 2412.08670, section 3.1"

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
