"""`export_tflite`: from a trained model to a checked file."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import keras

from keras_frm.backend import require_tensorflow
from keras_frm.export.agreement import agreement_of, check_agreement
from keras_frm.export.inference_graph import logits_graph
from keras_frm.export.metadata import metadata_of
from keras_frm.export.request import checked_request
from keras_frm.export.samples import take_samples
from keras_frm.export.tflite.checks import (
    check_integers,
    check_operations,
    operations,
)
from keras_frm.export.tflite.convert import to_tflite
from keras_frm.export.tflite.device_graph import device_graph
from keras_frm.export.tflite.interface import with_interface
from keras_frm.export.tflite.partitions import delegated_outputs, outside_delegate
from keras_frm.export.tflite.report import TFLiteReport
from keras_frm.files import write_bytes
from keras_frm.graph.flatten import in_float32
from keras_frm.labels import LabelSet
from keras_frm.runtime.backends.litert import open_network
from keras_frm.runtime.backends.network import NetworkOptions
from keras_frm.runtime.tflite.metadata_zip import attach
from keras_frm.targets import target_of


@in_float32()
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
) -> TFLiteReport:
    """Export a trained model as a TFLite / LiteRT file that has passed its checks.

    The file gets its name only after its operations, its shapes and its masks have
    been checked; one that fails leaves nothing behind. Names and colours of the
    classes, the input's contract and where the file comes from are in the file. Its
    signature calls the input "image" and the output what `output` says. Files of logits
    and scores run in MediaPipe's `ImageSegmenter`.

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
            images, of any size, not augmented. The first 100 are calibrated on and the
            next 4 checked on; of fewer, the last quarter. None checks on synthetic
            scenes.
        output: "mask" (uint8 class ids), "logits" or "scores".
        output_stride: 1 for the input's size; the network's own (4 for FRM) leaves the
            last resizing to the app.
        labels: Names and colours; None takes the preset's of the model.
        keep_float: Names of operations an int8 file computes in float; `*` stands for
            anything.
        min_agreement: Smallest share of the sure pixels that must keep the model's
            class, see `keras_frm.export.agreement`; None takes the precision's.
        provenance: More to write into the file, such as the training run.
        progress: Called with calibration images done and None.

    Returns:
        What is to be known about the file; printing it shows a report.

    Raises:
        ValueError: An argument is wrong or there is nothing to calibrate on.
        ExportError: The file failed a check and was not written.

    Example:
    >>> import tempfile
    >>> from keras_frm.layers import VAN
    >>> from keras_frm.models.build import build_model
    >>> small = VAN((8, 8, 16, 16), (2, 2, 2, 2), (1, 1, 1, 1))
    >>> model = build_model("camvid", backbone=small, decoder_width=16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = export_tflite(
    ...         model, f"{folder}/frm.tflite", input_shape=(64, 64)
    ...     )
    >>> report.precision, report.operations["SPACE_TO_BATCH_ND"]
    ('float32', 0)
    """
    require_tensorflow("An export")
    request = checked_request(
        model,
        path,
        target_of(precision),
        input_shape=input_shape,
        output=output,
        output_stride=output_stride,
        keep_float=keep_float,
        min_agreement=min_agreement,
        representative_data=representative_data,
    )
    logits = logits_graph(model, input_shape, output_stride)
    about = metadata_of(model, logits.output.shape[-1], request, labels, provenance)
    samples = take_samples(representative_data, request.size, request.calibrated)

    graph = device_graph(logits, request, samples.calibration, progress)
    content = with_interface(to_tflite(graph, request.target), about)
    content = attach(content, about)

    check_operations(content)
    if not request.target.keeps_float:
        check_integers(content)
    options = NetworkOptions(num_threads=2, verify=False)
    network = open_network(content, options)
    agreement = agreement_of(network, logits, samples)
    check_agreement(agreement, request)

    write_bytes(request.path, content)
    return _report(content, network.interpreter, request, agreement)


def _report(content, interpreter, request, agreement):
    """Return the report of a file that passed."""
    return TFLiteReport(
        path=request.path,
        size=len(content),
        precision=request.target.precision,
        output_stride=request.output_stride,
        operations=operations(content),
        partitions=len(delegated_outputs(interpreter)),
        outside_xnnpack=outside_delegate(interpreter),
        agreement=agreement.pixels,
        sure_agreement=agreement.sure,
        images=agreement.images,
        held_out=agreement.held_out,
    )
