"""The preset, and with it the classes, that a model keeps of its own."""

from keras_frm.labels import LabelSet
from keras_frm.presets import Preset


def own_preset(model: object) -> Preset | None:
    """Return the preset that a model was built for.

    Args:
        model: A `SegmentationModel`, or anything else.

    Returns:
        Its preset; None where it has none.
    """
    preset = getattr(model, "preset", None)
    return preset if isinstance(preset, Preset) else None


def own_labels(model: object) -> LabelSet | None:
    """Return the classes that a model names itself.

    Args:
        model: A `Segmenter`, a `SegmentationModel`, or anything else.

    Returns:
        Its `labels`, or else those of its preset if they are as many as its classes;
        None where it names none.

    Example:
    >>> own_labels(lambda image: image) is None
    True
    """
    labels = getattr(model, "labels", None)
    if isinstance(labels, LabelSet):
        return labels
    preset, count = own_preset(model), getattr(model, "num_classes", None)
    fits = preset is not None and preset.labels.num_classes == count
    return preset.labels if fits else None
