"""Presets: dataset, classes, sizes, recipe and network by one name."""

from keras_frm.presets import table as table  # what it registers
from keras_frm.presets.recipe import AUXILIARY_WEIGHT, Recipe
from keras_frm.presets.registry import (
    PRESETS,
    Preset,
    preset,
    quantization_preset,
    register_preset,
)

__all__ = [
    "AUXILIARY_WEIGHT",
    "PRESETS",
    "Preset",
    "Recipe",
    "preset",
    "quantization_preset",
    "register_preset",
]
