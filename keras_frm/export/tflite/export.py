"""`export_tflite`: from a trained model to a checked file."""

import datetime
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_frm import __version__
from keras_frm.backend import require_tensorflow
from keras_frm.data.representative import images_of, scenes
from keras_frm.export.head import at_stride, with_head
from keras_frm.export.inference_graph import inference_graph
from keras_frm.export.report import ExportReport
from keras_frm.export.tflite.checks import (
    ExportError,
    check_integers,
    check_operations,
    mask_agreement,
    operations,
)
from keras_frm.export.tflite.convert import to_tflite
from keras_frm.export.tflite.partitions import delegated_outputs, outside_delegate
from keras_frm.files import write_bytes
from keras_frm.graph.flatten import flatten
from keras_frm.labels import LabelSet, numbered_labels
from keras_frm.presets import Preset, preset
from keras_frm.quantization.after_training import quantize_after_training
from keras_frm.quantization.equalize import equalize_channels
from keras_frm.quantization.freeze import is_quantization_aware, with_fixed_ranges
from keras_frm.runtime.backends.litert import load_interpreter
from keras_frm.runtime.backends.tensors import read_input, read_output
from keras_frm.runtime.file_metadata import FileMetadata, attach
from keras_frm.targets import precision_of

_CHECKED_IMAGES = 4
_CALIBRATION_IMAGES = 100
# A file that computes what its training graph computed differs by round-off only.
_TRAINED_AGREEMENT = 0.98


def export_tflite(
    model: keras.Model,
    path: str | Path,
    *,
    input_shape: tuple[int, int] | tuple[int, int, int],
    precision: str = "float32",
    representative_data: Iterable | None = None,
    output: str = "mask",
    output_stride: int = 1,
    labels: LabelSet | None = None,
    keep_float: Sequence[str] = (),
    min_agreement: float | None = None,
    provenance: dict[str, str] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> ExportReport:
    """Export a trained model as a TFLite / LiteRT file that has passed its checks.

    The file gets its name only after its operations, its shapes and its masks have
    been checked; one that fails leaves nothing behind. Names and colours of the
    classes, the input's contract and where the file comes from are in the file.

    Args:
        model: A `SegmentationModel`, or a Functional model from RGB in [0, 255] to
            logits; a model of `quantize_aware` exports as int8 without calibration, as
            it was trained.
        path: The file, ending in .tflite.
        input_shape: Height and width (and 3): TFLite files have one size.
        precision: "float32", "float16" (weights), "dynamic" (int8 weights), "int8"
            (LayerNorm and attention in float), "int8_full" (nothing in float).
        representative_data: Images an integer precision is calibrated on, and every
            file checked on: a dataset of (image, label) batches or an iterable of
            images, of any size; the first 100 are used. None checks on synthetic
            scenes.
        output: "mask" (uint8 class ids), "logits" or "scores".
        output_stride: 1 for the input's size; 4 leaves the last resizing to the app.
        labels: Names and colours; None takes the preset's of the model.
        keep_float: Names of operations an integer file computes in float; `*` stands
            for anything.
        min_agreement: Smallest share of pixels with the model's class to accept; None
            takes the precision's.
        provenance: More to write into the file, such as the training run.
        progress: Called with calibration images done and their number.

    Returns:
        What is to be known about the file; printing it shows a report.

    Raises:
        ValueError: An argument is wrong or there is nothing to calibrate on.
        ExportError: The file failed a check and was not written.

    Example:
    >>> import tempfile
    >>> from keras_frm.models.build import build_model
    >>> model = build_model("camvid", backbone="van_tiny", decoder_width=16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = export_tflite(
    ...         model, f"{folder}/frm.tflite", input_shape=(64, 64)
    ...     )
    >>> report.precision, report.operations["SPACE_TO_BATCH_ND"]
    ('float32', 0)
    """
    require_tensorflow("An export")
    path = Path(path)
    if path.suffix != ".tflite":
        raise ValueError(f"The file's name must end in .tflite, not '{path.name}'.")
    chosen = precision_of(precision)
    size = tuple(input_shape[:2])
    trained = is_quantization_aware(model)
    if trained and precision != "int8":
        raise ValueError(
            f"The model was trained for int8, so precision='{precision}' cannot be had "
            "of it; export the float model."
        )
    if chosen.calibrated and not trained and representative_data is None:
        raise ValueError(
            f"precision='{precision}' needs representative_data: images to measure the "
            "ranges of the tensors on."
        )
    if keep_float and not chosen.keeps_float:
        raise ValueError(
            f"precision='{precision}' leaves nothing in float, so it takes no "
            "keep_float. Use precision='int8'."
        )
    if keep_float and trained:
        raise ValueError(
            "The model's own training settled what stays float; give keep_float to "
            "quantize_aware."
        )
    if representative_data is None:
        images = scenes(size, _CHECKED_IMAGES)
    else:
        images = images_of(representative_data, size, _CALIBRATION_IMAGES)
    if not images:
        raise ValueError("representative_data holds no image.")

    logits = at_stride(flatten(model, (*size, 3)), output_stride)
    labels = labels or _labels_of(model, logits.output.shape[-1])
    if labels.num_classes != logits.output.shape[-1]:
        raise ValueError(
            f"The labels '{labels.name}' have {labels.num_classes} classes; the model "
            f"has {logits.output.shape[-1]}."
        )
    reference = with_head(logits, "mask")

    if trained:
        graph = with_head(with_fixed_ranges(logits), output)
    else:
        graph = inference_graph(
            model,
            input_shape=input_shape,
            output=output,
            output_stride=output_stride,
            precision=precision,
        )
    if chosen.calibrated and not trained:
        if chosen.keeps_float:  # an integer LayerNorm would have to divide again
            graph = equalize_channels(graph, images)
        graph = quantize_after_training(
            graph, images, keep_float, progress, integer_only=not chosen.keeps_float
        )
    content = to_tflite(graph, precision)
    check_operations(content)
    if not chosen.keeps_float:
        check_integers(content)

    content = attach(
        content,
        FileMetadata(
            labels=labels,
            output=output,
            output_stride=output_stride,
            precision=precision,
            input_size=size,
            version=__version__,
            provenance={**_provenance(model), **(provenance or {})},
            input_dtype=chosen.input_dtype,
        ),
    )
    checked = images[:_CHECKED_IMAGES]
    agreement = _agreement(content, reference, checked)
    least = _TRAINED_AGREEMENT if trained else chosen.min_agreement
    least = least if min_agreement is None else min_agreement
    if agreement < least:
        raise ExportError(
            f"The {precision} file has the model's class on {100 * agreement:.2f} % of "
            f"the pixels, below min_agreement={least}; '{path}' was not written."
        )
    report = _report(content, path, precision, agreement, len(checked))
    write_bytes(path, content)
    return report


def _labels_of(model, count):
    """Return the labels of a model's preset, numbers where it has none."""
    given = getattr(model, "preset", None)
    if isinstance(given, str):
        given = preset(given)
    if isinstance(given, Preset) and given.labels.num_classes == count:
        return given.labels
    return numbered_labels(count)


def _provenance(model):
    """Return which weights a file was made from, and when."""
    digest = hashlib.sha256()
    for array in getattr(model, "network", model).get_weights():
        digest.update(np.ascontiguousarray(array).data)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"model": model.name, "weights_sha256": digest.hexdigest(), "date": now}


def _agreement(content, reference, images):
    """Return the share of pixels where a file gives the class of a Keras model."""
    interpreter = load_interpreter(content, 2)
    image_input = read_input(interpreter, None)
    result = read_output(interpreter, None)
    shares = []
    for image in images:
        interpreter.set_tensor(image_input.index, image_input.prepare(image))
        interpreter.invoke()
        mask = result.decode(interpreter.get_tensor(result.index))
        if mask.ndim == 3:
            mask = mask.argmax(axis=-1)  # (h, w)
        expected = reference(image[None].astype(np.float32), training=False)
        shares.append(mask_agreement(mask[None], expected.numpy()))
    return float(np.mean(shares))


def _report(content, path, precision, agreement, images):
    """Return the report of a file that passed."""
    interpreter = load_interpreter(content, 2)
    return ExportReport(
        path=path,
        size=len(content),
        precision=precision,
        operations=operations(content),
        partitions=len(delegated_outputs(interpreter)),
        outside_xnnpack=outside_delegate(interpreter),
        agreement=agreement,
        images=images,
    )
