"""The layers against arrays made by the reference implementations."""

import keras
import numpy as np
import pytest
from helpers import assert_close, load_conv, load_conv_block, nchw, nhwc

from keras_frm import load_van_weights
from keras_frm.layers import (
    VAN,
    ConvBlock,
    DeepAggregationPyramidPooling,
    FlowAlignment,
    FPNDecoder,
    PyramidPooling,
)


def weights_of(arrays, prefix="w."):
    return {k.removeprefix(prefix): arrays[k] for k in arrays if k.startswith(prefix)}


def van_for(arrays):
    dims, ratios, depths = (
        arrays[k].tolist() for k in ("embed_dims", "mlp_ratios", "depths")
    )
    backbone = VAN(dims, ratios, depths)
    backbone.build((None, None, None, 3))
    return backbone


@pytest.mark.parametrize("suffix", ["", "_odd"])
def test_van_classification_checkpoint(parity_dir, suffix):
    arrays = np.load(parity_dir / "van_small_dims.npz")
    backbone = load_van_weights(van_for(arrays), parity_dir / "van_small_dims.pth")
    features = backbone(nhwc(arrays[f"x{suffix}"]))
    for stage, feature in enumerate(features, 1):
        assert_close(nchw(feature), arrays[f"stage{stage}{suffix}"], noise=3.4e-6)


def test_van_segmentation_checkpoint(parity_dir):
    arrays = np.load(parity_dir / "van_seg_small_dims.npz")
    backbone = load_van_weights(van_for(arrays), parity_dir / "van_seg_small_dims.pth")
    features = backbone(nhwc(arrays["x"]))
    for stage, feature in enumerate(features, 1):
        assert_close(nchw(feature), arrays[f"stage{stage}"], noise=2.4e-6)


@pytest.mark.parametrize(("case", "noise"), [(0, 1.5e-5), (1, 4.5e-5)])
def test_flow_alignment(parity_dir, case, noise):
    arrays = np.load(parity_dir / "flow_align.npz")
    layer = FlowAlignment(8)
    fine, coarse = nhwc(arrays[f"low{case}"]), nhwc(arrays[f"high{case}"])
    layer.build(fine.shape, coarse.shape)
    load_flow(layer, weights_of(arrays))
    assert_close(nchw(layer(fine, coarse)), arrays[f"out{case}"], noise)


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize(
    ("align_corners", "name"), [(False, "out_halfpixel"), (True, "out")]
)
def test_pyramid_pooling(parity_dir, case, align_corners, name):
    arrays = np.load(parity_dir / "psp.npz")
    layer = PyramidPooling(16, align_corners=align_corners)
    x = nhwc(arrays[f"x{case}"])
    layer.build(x.shape)
    load_psp(layer, weights_of(arrays))
    assert_close(nchw(layer(x)), arrays[f"{name}{case}"], noise=1.4e-5)


@pytest.mark.parametrize("case", [0, 1])
def test_deep_aggregation_pyramid_pooling(parity_dir, case):
    arrays = np.load(parity_dir / "dappm.npz")
    weights = weights_of(arrays)
    layer = DeepAggregationPyramidPooling(24, 16)
    x = nhwc(arrays[f"x{case}"])
    layer.build(x.shape)
    for i, scale in enumerate(layer.scales):
        first = 1 if i else 0  # a pool stands before the BatchNorm of the others
        load_conv_block(scale, weights, f"scale{i}.{first + 2}", f"scale{i}.{first}")
    for i, process in enumerate(layer.processes, 1):
        load_conv_block(process, weights, f"process{i}.2", f"process{i}.0")
    load_conv_block(layer.compression, weights, "compression.2", "compression.0")
    load_conv_block(layer.shortcut, weights, "shortcut.2", "shortcut.0")
    assert_close(nchw(layer(x)), arrays[f"out{case}"], noise=2.7e-6)


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize(
    ("align_corners", "name"), [(False, "out_plain_halfpixel"), (True, "out_plain")]
)
def test_sfnet_head_with_plain_resizing(parity_dir, case, align_corners, name):
    arrays = np.load(parity_dir / "sfnet_fpn_head.npz")
    head = SFNetHead(arrays, "plain", case, align_corners)
    assert_close(nchw(head.logits()), arrays[f"{name}{case}"], noise=2.7e-6)


@pytest.mark.parametrize("case", [0, 1])
def test_sfnet_head_with_flow_alignment(parity_dir, case):
    arrays = np.load(parity_dir / "sfnet_fpn_head.npz")
    head = SFNetHead(arrays, "align", case)
    assert_close(nchw(head.logits()), arrays[f"out_align{case}"], noise=1e-5)


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("kind", ["plain", "align"])
def test_sfnet_top_down_levels(parity_dir, case, kind):
    """The reference's auxiliary heads, made here, on our top-down levels."""
    arrays = np.load(parity_dir / "sfnet_fpn_head.npz")
    head = SFNetHead(arrays, kind, case)
    for index, logits in enumerate(head.auxiliary_logits()):
        assert_close(nchw(logits), arrays[f"dsn_{kind}{case}_{index}"], noise=1e-5)


class SFNetHead:
    """SFNet's whole head from this package's layers."""

    def __init__(self, arrays, kind, case, align_corners=True):
        self.weights = weights_of(arrays, f"w.{kind}.")
        self.inputs = [nhwc(arrays[f"in{case}_p{level}"]) for level in (1, 2, 3, 4)]
        self.context = PyramidPooling(16, align_corners=align_corners)
        self.context.build(self.inputs[3].shape)
        load_psp(self.context, weights_of(self.weights, "ppm."))
        alignment = "flow" if kind == "align" else "bilinear"
        self.decoder = FPNDecoder(16, alignment, align_corners, return_levels=True)
        shapes = [x.shape for x in self.inputs]
        self.decoder.build([*shapes[:3], (*shapes[3][:3], 16)])
        for i in range(3):
            name = f"fpn_in.{i}"
            load_conv_block(
                self.decoder.laterals[i], self.weights, f"{name}.0", f"{name}.1"
            )
            name = f"fpn_out.{i}.0"
            load_conv_block(
                self.decoder.smooths[i], self.weights, f"{name}.0", f"{name}.1"
            )
            if alignment == "flow":
                prefix = f"fpn_out_align.{i}."
                load_flow(self.decoder.flows[i], weights_of(self.weights, prefix))
        name = "conv_last.0"
        load_conv_block(self.decoder.fuse, self.weights, f"{name}.0", f"{name}.1")

    def features(self):
        return [*self.inputs[:3], self.context(self.inputs[3])]

    def logits(self):
        return self._classify(self.decoder(self.features())[0], "conv_last.1", 1)

    def auxiliary_logits(self):
        """Yield the logits of the levels at stride 16, 8 and 4."""
        levels = self.decoder(self.features())[1:]
        for stage in (2, 1, 0):
            level = levels[stage]
            block = ConvBlock(16, 3, use_bias=True)
            block.build(level.shape)
            name = f"dsn.{stage}"
            load_conv_block(block, self.weights, f"{name}.0", f"{name}.1")
            yield self._classify(block(level), f"{name}.4", 1)

    def _classify(self, x, name, size):
        classifier = keras.layers.Conv2D(7, size)
        classifier.build(x.shape)
        load_conv(classifier, self.weights, name)
        return classifier(x)


def load_psp(layer, weights):
    for i, branch in enumerate(layer.branches):
        load_conv_block(branch, weights, f"stages.{i}.1", f"stages.{i}.2")
    load_conv_block(layer.bottleneck, weights, "bottleneck.0", "bottleneck.1")


def load_flow(layer, weights):
    load_conv(layer.cut_fine, weights, "down_l")
    load_conv(layer.cut_coarse, weights, "down_h")
    load_conv(layer.flow, weights, "flow_make")
