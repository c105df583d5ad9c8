"""`export_onnx`: from a trained model to a checked file for TensorRT and others."""

from collections.abc import Iterable
from pathlib import Path

import keras
import onnx

from keras_frm.backend import require_tensorflow
from keras_frm.export.agreement import agreement_of, check_agreement
from keras_frm.export.head import with_head
from keras_frm.export.inference_graph import logits_graph
from keras_frm.export.metadata import metadata_of
from keras_frm.export.onnx.checks import check_batch, check_model, operations
from keras_frm.export.onnx.graph import to_onnx
from keras_frm.export.onnx.report import OnnxReport
from keras_frm.export.request import checked_request
from keras_frm.export.samples import take_samples
from keras_frm.files import write_bytes
from keras_frm.graph.flatten import in_float32
from keras_frm.labels import LabelSet
from keras_frm.runtime.backends.network import NetworkOptions
from keras_frm.runtime.backends.onnx_runtime import open_network
from keras_frm.runtime.file_metadata import FileMetadata, to_members
from keras_frm.targets import rewrite, target_of


@in_float32()
def export_onnx(
    model: keras.Model,
    path: str | Path,
    *,
    input_shape: tuple[int, int] | tuple[int, int, int],
    precision: str = "float32",
    representative_data: Iterable | None = None,
    output: str = "mask",
    output_stride: int = 1,
    batch: int | None = 1,
    labels: LabelSet | None = None,
    min_agreement: float | None = None,
    provenance: dict[str, str] | None = None,
) -> OnnxReport:
    """Export a trained model as an ONNX file that has passed its checks.

    The file takes RGB images (1, H, W, 3) uint8, normalises them itself, and is for
    TensorRT, ONNX Runtime and OpenVINO. It gets its name only after its operations, its
    types and its masks, computed by ONNX Runtime, have been checked; one that fails
    leaves nothing behind. Names and colours of the classes and where the file comes
    from are in its `metadata_props`. Its input is called "image" and its output what
    `output` says.

    Args:
        model: A `SegmentationModel`, or a Functional model from RGB in [0, 255] to
            logits; for "int8" one of `quantize_aware(..., scheme="tensorrt")`.
        path: The file, ending in .onnx.
        input_shape: Height and width (and 3): files have one size.
        precision: "float32", "float16" (in which everything but the means of LayerNorm
            is computed), or "int8" (convolutions; the rest in float16).
        representative_data: Images the file is checked on, as in `export_tflite`; None
            checks on synthetic scenes.
        output: "mask" (uint8 class ids), "logits" or "scores".
        output_stride: 1 for the input's size; the network's own (4 for FRM) leaves the
            last resizing to the app.
        batch: 1, or None for a number of images that is open.
        labels: Names and colours; None takes the preset's of the model.
        min_agreement: Smallest share of the sure pixels that must keep the model's
            class, see `keras_frm.export.agreement`; None takes the precision's.
        provenance: More to write into the file, such as the training run.

    Returns:
        What is to be known about the file; printing it shows a report.

    Raises:
        ValueError: An argument is wrong, or an operation has no rule.
        ExportError: The file failed a check and was not written.
        ImportError: onnx or onnxruntime is not installed.

    Example:
    >>> import tempfile
    >>> from keras_frm.layers import VAN
    >>> from keras_frm.models.build import build_model
    >>> small = VAN((8, 8, 16, 16), (2, 2, 2, 2), (1, 1, 1, 1))
    >>> model = build_model("camvid", backbone=small, decoder_width=16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = export_onnx(model, f"{folder}/frm.onnx", input_shape=(64, 64))
    >>> report.precision, report.opset
    ('float32', 17)
    """
    require_tensorflow("An export")
    target = target_of(precision, "onnx")
    request = checked_request(
        model,
        path,
        target,
        input_shape=input_shape,
        output=output,
        output_stride=output_stride,
        keep_float=(),
        min_agreement=min_agreement,
        representative_data=representative_data,
    )
    if batch not in (1, None):
        raise ValueError(f"batch is 1, or None for any number, not {batch!r}.")
    logits = logits_graph(model, input_shape, output_stride)
    about = metadata_of(model, logits.output.shape[-1], request, labels, provenance)
    samples = take_samples(representative_data, request.size, request.calibrated)

    graph = logits if request.trained else rewrite(logits, target.passes)
    proto = to_onnx(
        with_head(graph, output),
        input_dtype=target.input_dtype,
        float_type=target.floats,
        output=output,
        batch=batch,
    )
    check_model(proto)
    content = with_metadata(proto, about)
    network = open_network(content, NetworkOptions(num_threads=2, verify=False))
    agreement = agreement_of(network, logits, samples)
    check_agreement(agreement, request)
    if batch is None:
        check_batch(content, samples.checked[0])

    write_bytes(request.path, content)
    return OnnxReport(
        path=request.path,
        size=len(content),
        precision=precision,
        output_stride=output_stride,
        operations=operations(proto),
        agreement=agreement.pixels,
        sure_agreement=agreement.sure,
        images=agreement.images,
        held_out=agreement.held_out,
        opset=proto.opset_import[0].version,
    )


def with_metadata(model: onnx.ModelProto, about: FileMetadata) -> bytes:
    """Return the content of a file that says what it is.

    Args:
        model: What it computes.
        about: What there is to say.
    """
    content = model.SerializeToString(deterministic=True)
    members = to_members(about, content).items()
    entries = [onnx.StringStringEntryProto(key=k, value=v) for k, v in members]
    # Fields may come in any order; the checksum is that of what stands before these.
    return content + onnx.ModelProto(metadata_props=entries).SerializeToString()
