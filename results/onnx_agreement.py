"""What .onnx files give beside the networks that they were written from, when trained.

python results/onnx_agreement.py CAMVID_FOLDER WORK_FOLDER [--every 6] [--out FILE]

The shipped weights `camvid` at 360x480: the float16 file beside the float network; the
Q/DQ file, as exported and with float32 around its integers, beside the quantised
network. The quantised network compiled by XLA beside itself says how much of that is
the order of float32's sums. ONNX Runtime computes all as written. Writes
results/onnx/agreement.csv: the share of pixels of one class on test images.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from table import write_table

from keras_frm import build_model, export_onnx, load_dataset, quantize_aware
from keras_frm.export.inference_graph import logits_graph
from keras_frm.export.onnx.graph import to_onnx

SIZE = (360, 480)
PAIRS = (
    ("float16 file", "network"),
    ("int8 file", "quantised network"),
    ("int8 file, float32 around", "quantised network"),
    ("quantised network, XLA", "quantised network"),
    ("int8 file, float32 around", "quantised network, XLA"),
    ("quantised network", "network"),
)


def as_written(content):
    """Return a function from images to what a model file gives, nothing optimised."""
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(content, options)
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0].argmax(-1)


def exported(model, folder, precision):
    path = folder / f"camvid_{precision}.onnx"
    options = {"output": "logits", "min_agreement": 0}
    export_onnx(model, path, input_shape=SIZE, precision=precision, **options)
    return as_written(path.read_bytes())


def float32_around(model):
    """Return the Q/DQ graph with float32 where the exported file has float16."""
    proto = to_onnx(logits_graph(model, SIZE, 1), float_type="float32")
    proto.opset_import[0].version = 19  # of Q/DQ
    onnx.checker.check_model(proto, full_check=True)
    return as_written(proto.SerializeToString())


def in_keras(model, xla=False):
    run = tf.function(lambda x: model.network(x, training=False), jit_compile=xla)
    return lambda images: run(tf.cast(images, tf.float32)).numpy().argmax(-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camvid", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--every", type=int, default=6)
    default = Path(__file__).with_name("onnx") / "agreement.csv"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    data = {
        split: load_dataset("camvid", given.camvid, split, batch_size=1, resize=SIZE)
        for split in ("val", "test")
    }
    model = build_model("camvid", weights="camvid")
    quantized = quantize_aware(
        model,
        representative_data=data["val"].as_numpy_iterator(),
        input_shape=SIZE,
        scheme="tensorrt",
    )
    mask_of = {
        "network": in_keras(model),
        "float16 file": exported(model, given.work, "float16"),
        "quantised network": in_keras(quantized),
        "quantised network, XLA": in_keras(quantized, xla=True),
        "int8 file": exported(quantized, given.work, "int8"),
        "int8 file, float32 around": float32_around(quantized),
    }
    images = [image.numpy() for image, _ in data["test"].shard(given.every, 0)]
    masks = {name: [mask(x) for x in images] for name, mask in mask_of.items()}
    rows = []
    for one, other in PAIRS:
        pairs = zip(masks[one], masks[other], strict=True)
        same = [np.mean(a == b) for a, b in pairs]
        rows.append(
            {
                "one": one,
                "other": other,
                "same_class": f"{np.mean(same):.6f}",
                "least": f"{np.min(same):.6f}",
                "images": len(images),
            }
        )
    write_table(rows, given.out)


if __name__ == "__main__":
    main()
