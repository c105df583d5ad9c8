"""The files that `keras-frm quantize` compares."""

from pathlib import Path

from keras_frm.progress import progress_bar


def export_files(
    model, trained, folder: Path, size, labels, calibration, keep_float
) -> list[Path]:
    """Write the float file, the one quantised after training and the trained one.

    Args:
        model: The float model.
        trained: The model trained for int8, None for none.
        folder: Run folder.
        size: Height and width of the files' images.
        labels: Classes of the model.
        calibration: Dataset of whole images.
        keep_float: Names of operations left in float.

    Returns:
        Their paths.
    """
    from keras_frm.export.report import ExportError

    exports = {
        "float32": (model, {"precision": "float32"}),
        "int8_after_training": (
            model,
            {"precision": "int8", "keep_float": keep_float},
        ),
    }
    if trained is not None:
        exports["int8"] = (trained, {"precision": "int8"})
    files = []
    for name, (source, precision) in exports.items():
        path = folder / f"frm_{name}.tflite"
        try:
            report = _exported(source, path, size, labels, calibration, precision)
        except ExportError as error:
            if trained is None or name != "int8_after_training":
                raise
            print(f"left out of the comparison: {error}")  # training may have mended it
            continue
        print(report)
        files.append(path)
    return files


def _exported(network, path, size, labels, calibration, precision):
    """Write one file; return its report."""
    from keras_frm.export.tflite.export import export_tflite

    with progress_bar(f"exporting {path.stem}") as progress:
        return export_tflite(
            network,
            path,
            input_shape=size,
            representative_data=calibration.as_numpy_iterator(),
            labels=labels,
            progress=progress,
            **precision,
        )
