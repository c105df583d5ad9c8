"""How rounded tensors and kernels are written: QuantizeLinear and DequantizeLinear."""

import numpy as np

from keras_frm.export.onnx.convolutions import convolution
from keras_frm.export.onnx.graph_writer import GraphWriter, Value
from keras_frm.export.onnx.operations import OnnxCall, emits


@emits("QuantizeDequantize")
def _pair(writer: GraphWriter, call: OnnxCall) -> Value:
    scale = np.asarray(call.operation.scale(), np.float32)
    nodes = [
        writer.constant(scale, f"{call.name}.scale"),
        writer.constant(np.int8(0), "zero"),
    ]
    integers = writer.node(
        "QuantizeLinear", [call.x.name, *nodes], f"{call.name}.integers"
    )
    name = writer.node("DequantizeLinear", [integers, *nodes], call.name)
    return Value(name, call.shape, call.x.first)


@emits("WeightQuantizedConvolution")
def _convolution(writer: GraphWriter, call: OnnxCall) -> Value:
    layer = call.operation
    plain = layer.float_layer()
    scale = np.asarray(layer.kernel_scale(), np.float32)  # (C_out,)
    steps = np.asarray(layer.by_kernel(scale))
    kernel = np.clip(np.rint(np.asarray(plain.kernel) / steps), -127, 127)

    def dequantized(integers, name):
        """Write a kernel (C_out, C_in, h, w) as int8, and what makes floats of it."""
        nodes = [
            writer.constant(integers.astype(np.int8), f"{name}.integers"),
            writer.constant(scale, f"{name}.scale"),
            writer.constant(np.zeros(len(scale), np.int8), f"{name}.zeros"),
        ]
        return writer.node("DequantizeLinear", nodes, name, axis=0)

    return convolution(writer, call, plain, kernel, dequantized)
