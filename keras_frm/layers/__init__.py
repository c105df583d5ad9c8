"""The network's layers, one idea per file."""

from keras_frm.layers.backbones.cross_resolution_attention import (
    CrossResolutionAttention,
)
from keras_frm.layers.backbones.deep_stem_resnet import DeepStemResNet
from keras_frm.layers.backbones.dfnet import DFNet
from keras_frm.layers.backbones.dual_resolution_block import DualResolutionBlock
from keras_frm.layers.backbones.efficientnet_lite import EfficientNetLite
from keras_frm.layers.backbones.external_attention import ExternalAttention
from keras_frm.layers.backbones.inverted_residual import InvertedResidual
from keras_frm.layers.backbones.large_kernel_attention import LargeKernelAttention
from keras_frm.layers.backbones.mix_transformer import MixTransformer
from keras_frm.layers.backbones.mix_transformer_block import MixTransformerBlock
from keras_frm.layers.backbones.spatial_reduction_attention import (
    SpatialReductionAttention,
)
from keras_frm.layers.backbones.van import VAN
from keras_frm.layers.backbones.van_block import VANBlock
from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.conv_mlp import ConvMLP
from keras_frm.layers.blocks.corner_sampling import AlignedUpsampling, FlowWarp
from keras_frm.layers.blocks.depth_to_space import DepthToSpace
from keras_frm.layers.blocks.drop_path import DropPath
from keras_frm.layers.blocks.feed_forward import ConvFeedForward
from keras_frm.layers.blocks.layer_scale import LayerScale
from keras_frm.layers.blocks.residual import ResidualBlock, ResidualStage
from keras_frm.layers.blocks.resizing import BilinearUpsampling
from keras_frm.layers.contexts.dappm import DeepAggregationPyramidPooling
from keras_frm.layers.contexts.dnl import DisentangledNonLocal
from keras_frm.layers.contexts.frm import FeatureRefinementModule
from keras_frm.layers.contexts.pappm import ParallelAggregationPyramidPooling
from keras_frm.layers.contexts.pyramid_pooling import PyramidPooling
from keras_frm.layers.contexts.stage_pooling import StageConcatenation
from keras_frm.layers.decoders.all_mlp import AllMLPDecoder
from keras_frm.layers.decoders.boundary_attention import (
    BoundaryAttentionFusion,
    LightBoundaryAttentionFusion,
)
from keras_frm.layers.decoders.flow_alignment import FlowAlignment
from keras_frm.layers.decoders.fpn import FPNDecoder
from keras_frm.layers.decoders.gated_flow_alignment import GatedFlowAlignment
from keras_frm.layers.decoders.pixel_attention import PixelAttentionFusion

__all__ = [
    "VAN",
    "AlignedUpsampling",
    "AllMLPDecoder",
    "BilinearUpsampling",
    "BoundaryAttentionFusion",
    "ConvBlock",
    "ConvFeedForward",
    "ConvMLP",
    "CrossResolutionAttention",
    "DFNet",
    "DeepAggregationPyramidPooling",
    "DeepStemResNet",
    "DepthToSpace",
    "DisentangledNonLocal",
    "DropPath",
    "DualResolutionBlock",
    "EfficientNetLite",
    "ExternalAttention",
    "FPNDecoder",
    "FeatureRefinementModule",
    "FlowAlignment",
    "FlowWarp",
    "GatedFlowAlignment",
    "InvertedResidual",
    "LargeKernelAttention",
    "LayerScale",
    "LightBoundaryAttentionFusion",
    "MixTransformer",
    "MixTransformerBlock",
    "ParallelAggregationPyramidPooling",
    "PixelAttentionFusion",
    "PyramidPooling",
    "ResidualBlock",
    "ResidualStage",
    "SpatialReductionAttention",
    "StageConcatenation",
    "VANBlock",
]
