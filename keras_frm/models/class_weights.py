"""`fit(class_weight=...)` for labels that are images."""

from collections.abc import Mapping

from keras import ops

from keras_frm.backend import Tensor
from keras_frm.losses.cross_entropy import as_labels, as_pixel_weights


def class_weight_table(
    class_weight: Mapping[int, float], num_classes: int
) -> tuple[float, ...]:
    """Return one weight for each class.

    Args:
        class_weight: Class -> weight; 1 for classes that are not named.
        num_classes: Number of classes.

    Raises:
        ValueError: A class does not exist.

    Example:
    >>> class_weight_table({1: 3}, 2)
    (1.0, 3.0)
    """
    unknown = sorted(set(class_weight) - set(range(num_classes)))
    if unknown:
        raise ValueError(f"`class_weight` names classes that do not exist: {unknown}")
    return tuple(float(class_weight.get(i, 1)) for i in range(num_classes))


def weighted_by_class(
    labels: Tensor, table: tuple[float, ...], sample_weight: Tensor | None = None
) -> Tensor:
    """Return the weight of each pixel: its class's times that of its sample.

    Keras' own `class_weight` takes one label for a sample only.

    Args:
        labels: (B, H, W) or (B, H, W, 1) integer labels; what is no class weighs 1.
        table: One weight for each class.
        sample_weight: See `CrossEntropy`.

    Returns:
        (B, H, W) float32.

    Example:
    >>> weighted_by_class([[[0, 1, 255]]], (1.0, 3.0), [2.0]).numpy().tolist()
    [[[2.0, 6.0, 2.0]]]
    """
    labels = as_labels(labels)
    is_class = (labels >= 0) & (labels < len(table))
    of_class = ops.take(
        ops.convert_to_tensor(table, "float32"), ops.where(is_class, labels, 0), axis=0
    )
    weights = ops.where(is_class, of_class, 1.0)  # (B, H, W)
    if sample_weight is None:
        return weights
    return weights * as_pixel_weights(ops.convert_to_tensor(sample_weight, "float32"))
