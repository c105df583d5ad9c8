"""The files that commands write for devices: one, or those that `quantize` compares."""

from pathlib import Path

from keras_frm.progress import progress_bar


def export_files(
    model, trained, folder: Path, size, labels, calibration, keep_float, file_format
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
        file_format: "tflite", or "onnx", of which nothing is quantised after training.

    Returns:
        Their paths.
    """
    from keras_frm.export.report import ExportError

    exports = {"float32": (model, {"precision": "float32"})}
    if file_format == "tflite":
        exports["int8_after_training"] = (
            model,
            {"precision": "int8", "keep_float": keep_float},
        )
    if trained is not None:
        exports["int8"] = (trained, {"precision": "int8"})
    files = []
    for name, (source, precision) in exports.items():
        path = folder / f"frm_{name}.{file_format}"
        try:
            report = export_file(
                source,
                path,
                input_shape=size,
                representative_data=calibration.as_numpy_iterator(),
                labels=labels,
                **precision,
            )
        except ExportError as error:
            if trained is None or name != "int8_after_training":
                raise
            print(f"left out of the comparison: {error}")  # training may have mended it
            continue
        print(report)
        files.append(path)
    return files


def export_file(network, path: Path, *, keep_float=(), batch=1, **options):
    """Write one file in the format of its ending; return its report.

    Args:
        network: What computes it.
        path: The file, ending in .tflite or .onnx.
        keep_float: See `export_tflite`; of that format alone.
        batch: See `export_onnx`; of that format alone.
        options: What both exports take.
    """
    if path.suffix == ".onnx":
        from keras_frm.export.onnx.export import export_onnx

        return export_onnx(network, path, batch=batch, **options)
    from keras_frm.export.tflite.export import export_tflite

    with progress_bar(f"exporting {path.stem}") as progress:
        return export_tflite(
            network, path, keep_float=keep_float, progress=progress, **options
        )
