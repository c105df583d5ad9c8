"""Layers that compute the numbers of an int8 file."""

from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.layers.quantized_entry import QuantizedEntry
from keras_frm.quantization.layers.quantized_kernel import QuantizedKernel
from keras_frm.quantization.layers.quantized_layer_norm import QuantizedLayerNorm
from keras_frm.quantization.layers.quantized_multiply import QuantizedMultiply
from keras_frm.quantization.layers.quantized_pooling import QuantizedGlobalPooling
from keras_frm.quantization.layers.quantized_resize import QuantizedResize
from keras_frm.quantization.layers.tfmot_quantizer import KernelQuant, MovingRange

__all__ = [
    "FakeQuant",
    "FloatBoundary",
    "KernelQuant",
    "MovingRange",
    "QuantizedEntry",
    "QuantizedGlobalPooling",
    "QuantizedKernel",
    "QuantizedLayerNorm",
    "QuantizedMultiply",
    "QuantizedResize",
]
