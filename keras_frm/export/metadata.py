"""What an exported file says about itself."""

import datetime
import hashlib

import keras
import numpy as np

from keras_frm import __version__
from keras_frm.export.request import ExportRequest
from keras_frm.labels import LabelSet, numbered_labels
from keras_frm.models.own_preset import own_labels
from keras_frm.runtime.file_metadata import FileMetadata


def metadata_of(
    model: keras.Model,
    num_classes: int,
    request: ExportRequest,
    labels: LabelSet | None,
    provenance: dict[str, str] | None,
) -> FileMetadata:
    """Return the metadata of a file.

    Args:
        model: The trained model.
        num_classes: Number of its classes.
        request: What is exported.
        labels: Names and colours; None takes those of the model's preset.
        provenance: What the file says besides the model's name, weights and the date.

    Raises:
        ValueError: The labels have another number of classes.
    """
    labels = labels or own_labels(model) or numbered_labels(num_classes)
    if labels.num_classes != num_classes:
        raise ValueError(
            f"The labels '{labels.name}' have {labels.num_classes} classes; the model "
            f"has {num_classes}."
        )
    return FileMetadata(
        labels=labels,
        output=request.output,
        output_stride=request.output_stride,
        precision=request.target.precision,
        input_size=request.size,
        version=__version__,
        provenance={**_provenance(model), **(provenance or {})},
        input_dtype=request.target.input_dtype,
    )


def _provenance(model):
    """Return which weights a file was made from, and when."""
    digest = hashlib.sha256()
    for array in getattr(model, "network", model).get_weights():
        digest.update(np.ascontiguousarray(array).data)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"model": model.name, "weights_sha256": digest.hexdigest(), "date": now}
