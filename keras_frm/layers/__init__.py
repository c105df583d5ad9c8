"""The network's layers, one idea per file."""

from keras_frm.layers.conv_block import ConvBlock
from keras_frm.layers.dappm import DeepAggregationPyramidPooling
from keras_frm.layers.dnl import DisentangledNonLocal
from keras_frm.layers.drop_path import DropPath
from keras_frm.layers.fake_quant import FakeQuant
from keras_frm.layers.feed_forward import ConvFeedForward
from keras_frm.layers.float_boundary import FloatBoundary
from keras_frm.layers.flow_alignment import FlowAlignment
from keras_frm.layers.fpn import FPNDecoder
from keras_frm.layers.frm import FeatureRefinementModule
from keras_frm.layers.large_kernel_attention import LargeKernelAttention
from keras_frm.layers.layer_scale import LayerScale
from keras_frm.layers.pyramid_pooling import PyramidPooling
from keras_frm.layers.quantized_entry import QuantizedEntry
from keras_frm.layers.quantized_kernel import QuantizedKernel
from keras_frm.layers.quantized_layer_norm import QuantizedLayerNorm
from keras_frm.layers.quantized_multiply import QuantizedMultiply
from keras_frm.layers.quantized_pooling import QuantizedGlobalPooling
from keras_frm.layers.quantized_resize import QuantizedResize
from keras_frm.layers.resizing import BilinearUpsampling
from keras_frm.layers.stage_pooling import StageConcatenation
from keras_frm.layers.tfmot_quantizer import KernelQuant, MovingRange
from keras_frm.layers.van import VAN
from keras_frm.layers.van_block import VANBlock

__all__ = [
    "VAN",
    "BilinearUpsampling",
    "ConvBlock",
    "ConvFeedForward",
    "DeepAggregationPyramidPooling",
    "DisentangledNonLocal",
    "DropPath",
    "FPNDecoder",
    "FakeQuant",
    "FeatureRefinementModule",
    "FloatBoundary",
    "FlowAlignment",
    "KernelQuant",
    "LargeKernelAttention",
    "LayerScale",
    "MovingRange",
    "PyramidPooling",
    "QuantizedEntry",
    "QuantizedGlobalPooling",
    "QuantizedKernel",
    "QuantizedLayerNorm",
    "QuantizedMultiply",
    "QuantizedResize",
    "StageConcatenation",
    "VANBlock",
]
