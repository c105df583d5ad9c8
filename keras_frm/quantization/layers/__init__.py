"""Layers that compute the numbers of an int8 file.

`FakeQuant`, `MovingAverageFakeQuant` and `KernelFakeQuant` round tensors and kernels.
`Quantize` and `FloatBoundary` stand where float becomes integer and integer float.
The others compute an operation as its integer kernel does, and requantise the result.
`QuantizeDequantize` and `WeightQuantizedConvolution` are what an ONNX file has instead.
"""

from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.layers.kernel_fake_quant import KernelFakeQuant
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.quantize import Quantize
from keras_frm.quantization.layers.quantize_dequantize import (
    QuantizeDequantize,
    WeightQuantizedConvolution,
)
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution
from keras_frm.quantization.layers.quantized_layer_norm import QuantizedLayerNorm
from keras_frm.quantization.layers.quantized_leaky_relu import QuantizedLeakyRelu
from keras_frm.quantization.layers.quantized_multiply import QuantizedMultiply
from keras_frm.quantization.layers.quantized_pooling import (
    QuantizedGlobalPooling,
)
from keras_frm.quantization.layers.quantized_resize import QuantizedResize

__all__ = [
    "FakeQuant",
    "FloatBoundary",
    "KernelFakeQuant",
    "MovingAverageFakeQuant",
    "Quantize",
    "QuantizeDequantize",
    "QuantizedConvolution",
    "QuantizedGlobalPooling",
    "QuantizedLayerNorm",
    "QuantizedLeakyRelu",
    "QuantizedMultiply",
    "QuantizedResize",
    "WeightQuantizedConvolution",
]
