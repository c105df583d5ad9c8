"""Exported files side by side, at the end of a command."""

from collections.abc import Sequence
from pathlib import Path


def compare_files(
    files: Sequence[Path], validation_data, labels, folder: Path, source: str
) -> str:
    """Compare files on validation images; return the table, which the folder keeps.

    Args:
        files: .tflite or .onnx files, the first is what the others are compared with.
        validation_data: Batches of one image and its mask.
        labels: Classes of the masks.
        folder: Run folder.
        source: What the images are.
    """
    from keras_frm.benchmark import comparison_report
    from keras_frm.benchmark.comparison import compare_models

    pairs = (
        (images[0], masks[0]) for images, masks in validation_data.as_numpy_iterator()
    )
    result = compare_models(
        files,
        pairs,
        labels=labels,
        images=int(validation_data.cardinality()),
        source=source,
    )
    comparison_report.save(result, folder)
    return comparison_report.to_text(result)
