"""Names that official code gives to the weights inside a layer."""

from collections.abc import Iterator

import keras

from keras_frm.layers import (
    AllMLPDecoder,
    BoundaryAttentionFusion,
    ConvBlock,
    DeepAggregationPyramidPooling,
    DeepStemResNet,
    DFNet,
    DualResolutionBlock,
    FPNDecoder,
    GatedFlowAlignment,
    LightBoundaryAttentionFusion,
    MixTransformer,
    ParallelAggregationPyramidPooling,
    PixelAttentionFusion,
    PyramidPooling,
    ResidualBlock,
    ResidualStage,
)
from keras_frm.networks.checkpoints.state_dict import (
    Target,
    batch_norm_targets,
    conv_targets,
    layer_norm_targets,
)

# Name of a layer's module; where it is several, such as a convolution and its
# BatchNorm, all their names.
Names = str | tuple[str, ...]


def layer_targets(layer: keras.Layer, names: Names) -> Iterator[tuple[str, Target]]:
    """Yield names and targets of all weights of a layer, by its class.

    Args:
        layer: A built layer.
        names: The official name of its module, or of its modules.
    """
    if isinstance(layer, keras.layers.BatchNormalization):
        yield from batch_norm_targets(names, layer)
    elif isinstance(layer, keras.layers.Conv2D):
        yield from conv_targets(names, layer)
    else:
        yield from _COMPOSITES[type(layer)](layer, names)


def _conv_block(layer, names):
    conv, norm = names
    yield from conv_targets(conv, layer.conv)
    yield from batch_norm_targets(norm, layer.norm)


def _residual_block(layer, name):
    for index, block in enumerate(layer.blocks, 1):
        yield from _conv_block(block, (f"{name}.conv{index}", f"{name}.bn{index}"))
    if layer.shortcut is not None:
        names = (f"{name}.downsample.0", f"{name}.downsample.1")
        yield from _conv_block(layer.shortcut, names)


def _residual_stage(layer, name):
    for index, block in enumerate(layer.blocks):
        yield from _residual_block(block, f"{name}.{index}")


def _dappm(layer, name):
    yield from _pooling(layer, name)
    for index, process in enumerate(layer.processes, 1):
        yield from _preactivation(process, f"{name}.process{index}")


def _pappm(layer, name):
    yield from _pooling(layer, name)
    yield from _preactivation(layer.process, f"{name}.scale_process")


def _pooling(layer, name):
    """Yield those that DAPPM and PAPPM share."""
    for index, scale in enumerate(layer.scales):
        # The pooled ones begin with the pooling.
        first = 0 if index == 0 else 1
        yield from _preactivation(scale, f"{name}.scale{index}", first)
    yield from _preactivation(layer.compression, f"{name}.compression")
    yield from _preactivation(layer.shortcut, f"{name}.shortcut")


def _pixel_attention(layer, name):
    yield from _conv_block(layer.embed_fine, (f"{name}.f_x.0", f"{name}.f_x.1"))
    yield from _conv_block(layer.embed_coarse, (f"{name}.f_y.0", f"{name}.f_y.1"))


def _bag(layer, name):
    yield from _preactivation(layer.conv, f"{name}.conv")


def _light_bag(layer, name):
    for block, conv in ((layer.detail_conv, "conv_p"), (layer.context_conv, "conv_i")):
        yield from _conv_block(block, (f"{name}.{conv}.0", f"{name}.{conv}.1"))


def _preactivation(layer, name, first=0):
    """Yield those of BatchNorm, ReLU, convolution, which are numbered from `first`."""
    yield from _conv_block(layer, (f"{name}.{first + 2}", f"{name}.{first}"))


def _deep_stem_resnet(layer, names):
    stem, last_norm, stage = names
    norms = (f"{stem}.1", f"{stem}.4", last_norm)
    for block, index, norm in zip(layer.stem, (0, 3, 6), norms, strict=True):
        yield from _conv_block(block, (f"{stem}.{index}", norm))
    for index, blocks in enumerate(layer.stages, 1):
        yield from _residual_stage(blocks, f"{stage}{index}")


def _dfnet(layer, stage):
    for block, index in zip(layer.stem, (0, 3), strict=True):
        names = (f"{stage}1.{index}", f"{stage}1.{index + 1}")
        yield from _conv_block(block, names)
    for index, blocks in enumerate(layer.stages):
        name = f"{stage}{index // 2 + 2}_{index % 2 + 1}"
        yield from _residual_stage(blocks, name)


def _pyramid_pooling(layer, name):
    for index, branch in enumerate(layer.branches):
        prefix = f"{name}.stages.{index}"
        yield from _conv_block(branch, (f"{prefix}.1", f"{prefix}.2"))
    yield from _numbered_block(layer.bottleneck, f"{name}.bottleneck")


def _fpn_decoder(layer, name):
    for index in range(3):
        yield from _numbered_block(layer.laterals[index], f"{name}.fpn_in.{index}")
        yield from _numbered_block(layer.smooths[index], f"{name}.fpn_out.{index}.0")
        if layer.alignment == "flow":
            prefix = f"{name}.fpn_out_align.{index}"
            yield from _flow_alignment(layer.flows[index], prefix)
    yield from _numbered_block(layer.fuse, f"{name}.conv_last.0")


def _flow_alignment(layer, name):
    yield from conv_targets(f"{name}.down_l", layer.cut_fine)
    yield from conv_targets(f"{name}.down_h", layer.cut_coarse)
    yield from conv_targets(f"{name}.flow_make", layer.flow)


def _gated_flow_alignment(layer, name):
    yield from _flow_alignment(layer, name)
    yield from conv_targets(f"{name}.gate.gate.0", layer.gate)


def _mix_transformer(layer, prefix):
    for stage, (embedding, blocks, norm) in enumerate(layer.stages(), 1):
        patch = f"{prefix}patch_embed{stage}"
        yield from conv_targets(f"{patch}.proj", embedding.conv)
        yield from layer_norm_targets(f"{patch}.norm", embedding.norm)
        for index, block in enumerate(blocks):
            yield from _mix_transformer_block(block, f"{prefix}block{stage}.{index}")
        yield from layer_norm_targets(f"{prefix}norm{stage}", norm)


def _mix_transformer_block(layer, name):
    attention, mlp = layer.attention, layer.mlp
    yield from layer_norm_targets(f"{name}.norm1", layer.norm_1)
    yield from conv_targets(f"{name}.attn.q", attention.query)
    yield from conv_targets(f"{name}.attn.kv", attention.key_value)
    yield from conv_targets(f"{name}.attn.proj", attention.project)
    if attention.reduction > 1:
        yield from conv_targets(f"{name}.attn.sr", attention.reduce)
        yield from layer_norm_targets(f"{name}.attn.norm", attention.norm)
    yield from layer_norm_targets(f"{name}.norm2", layer.norm_2)
    yield from conv_targets(f"{name}.mlp.fc1", mlp.expand)
    yield from conv_targets(f"{name}.mlp.dwconv.dwconv", mlp.depthwise)
    yield from conv_targets(f"{name}.mlp.fc2", mlp.project)


def _all_mlp_decoder(layer, name):
    for stage, projection in enumerate(layer.projections, 1):
        yield from conv_targets(f"{name}.linear_c{stage}.proj", projection)
    names = (f"{name}.linear_fuse.conv", f"{name}.linear_fuse.bn")
    yield from _conv_block(layer.fuse, names)


def _dual_resolution_block(layer, name):
    if layer.shortcut is not None:
        names = (f"{name}.attn_shortcut_l.1", f"{name}.attn_shortcut_l.0")
        yield from _conv_block(layer.shortcut, names)
    yield from _external_attention(layer.coarse_attention, f"{name}.attn_l")
    yield from _conv_mlp(layer.coarse_mlp, f"{name}.mlp_l")
    yield from _preactivation(layer.compression, f"{name}.compression")
    # The keys and values of the fine branch are a module beside its attention.
    attention, both = layer.fine_attention, f"{name}.cross_kv"
    yield from batch_norm_targets(f"{name}.attn_h.norm", attention.norm)
    yield from batch_norm_targets(f"{both}.0", attention.coarse_norm)
    yield from conv_targets(f"{both}.2", attention.key_value)
    yield from _conv_mlp(layer.fine_mlp, f"{name}.mlp_h")
    for index, down in enumerate(layer.downs):
        yield from _preactivation(down, f"{name}.down", 3 * index)


def _external_attention(layer, name):
    yield from batch_norm_targets(f"{name}.norm", layer.norm)
    # Parameters of the module, and no modules: their names end here.
    yield f"{name}.k", Target(layer.key.kernel)
    yield f"{name}.v", Target(layer.value.kernel)


def _conv_mlp(layer, name):
    yield from batch_norm_targets(f"{name}.norm", layer.norm)
    yield from conv_targets(f"{name}.conv1", layer.conv_1)
    yield from conv_targets(f"{name}.conv2", layer.conv_2)


def _numbered_block(layer, name):
    """Yield those of convolution and BatchNorm, which are numbered 0 and 1."""
    yield from _conv_block(layer, (f"{name}.0", f"{name}.1"))


_COMPOSITES = {
    AllMLPDecoder: _all_mlp_decoder,
    BoundaryAttentionFusion: _bag,
    ConvBlock: _conv_block,
    DeepAggregationPyramidPooling: _dappm,
    DeepStemResNet: _deep_stem_resnet,
    DualResolutionBlock: _dual_resolution_block,
    DFNet: _dfnet,
    FPNDecoder: _fpn_decoder,
    GatedFlowAlignment: _gated_flow_alignment,
    LightBoundaryAttentionFusion: _light_bag,
    MixTransformer: _mix_transformer,
    ParallelAggregationPyramidPooling: _pappm,
    PixelAttentionFusion: _pixel_attention,
    PyramidPooling: _pyramid_pooling,
    ResidualBlock: _residual_block,
    ResidualStage: _residual_stage,
}
