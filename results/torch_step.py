"""VAN-small + FRM + bilinear FPN in PyTorch: the other side of `train_step.py`.

    PYTHON_WITH_TORCH results/torch_step.py BATCH.npz WEIGHTS.npz THREADS [--compile]

Written from the papers (VAN, FRM, SFNet's FPN) with PyTorch's own layers, in channels
last. BATCH has "images" (B, H, W, 3) uint8 and "labels" (B, H, W); WEIGHTS has the
arrays of Keras' trainable weights, in order. Prints a line of JSON when ready and one
after each line it reads, for which it takes one training step; ends with its input.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class LayerScale(nn.Module):
    """A factor for each channel."""

    def __init__(self, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels, 1, 1), 1e-2))

    def forward(self, x):
        return x * self.gamma


class LargeKernelAttention(nn.Module):
    """Depthwise 5x5, depthwise 7x7 dilated by 3, 1x1; multiplies its input."""

    def __init__(self, c):
        super().__init__()
        self.local = nn.Conv2d(c, c, 5, padding=2, groups=c)
        self.dilated = nn.Conv2d(c, c, 7, padding=9, groups=c, dilation=3)
        self.pointwise = nn.Conv2d(c, c, 1)

    def forward(self, x):
        return x * self.pointwise(self.dilated(self.local(x)))


class SpatialAttention(nn.Module):
    """1x1, GELU, large kernel attention, 1x1, shortcut."""

    def __init__(self, channels):
        super().__init__()
        self.project_in = nn.Conv2d(channels, channels, 1)
        self.attention = LargeKernelAttention(channels)
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        y = functional.gelu(self.project_in(x))
        return x + self.project_out(self.attention(y))


class FeedForward(nn.Module):
    """1x1, depthwise 3x3, activation, 1x1."""

    def __init__(self, channels, ratio, activation, bias):
        super().__init__()
        hidden = channels * ratio
        self.expand = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.depthwise = nn.Conv2d(
            hidden, hidden, 3, padding=1, groups=hidden, bias=bias
        )
        self.project = nn.Conv2d(hidden, channels, 1, bias=bias)
        self.activation = activation

    def forward(self, x):
        return self.project(self.activation(self.depthwise(self.expand(x))))


class Block(nn.Module):
    """One block of VAN, without drop path."""

    def __init__(self, channels, ratio):
        super().__init__()
        self.norm_1 = nn.BatchNorm2d(channels)
        self.attention = SpatialAttention(channels)
        self.scale_1 = LayerScale(channels)
        self.norm_2 = nn.BatchNorm2d(channels)
        self.mlp = FeedForward(channels, ratio, functional.gelu, bias=True)
        self.scale_2 = LayerScale(channels)

    def forward(self, x):
        x = x + self.scale_1(self.attention(self.norm_1(x)))
        return x + self.scale_2(self.mlp(self.norm_2(x)))


class VAN(nn.Module):
    """VAN-small: the four stages' features."""

    widths, ratios, depths = (64, 128, 320, 512), (8, 8, 4, 4), (2, 2, 4, 2)

    def __init__(self):
        super().__init__()
        inputs = (3, *self.widths[:3])
        kernels, strides = (7, 3, 3, 3), (4, 2, 2, 2)
        self.embeddings = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, k, s, padding=k // 2), nn.BatchNorm2d(o))
            for i, o, k, s in zip(inputs, self.widths, kernels, strides, strict=True)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, ratio) for _ in range(depth)))
            for width, ratio, depth in zip(
                self.widths, self.ratios, self.depths, strict=True
            )
        )
        self.norms = nn.ModuleList(nn.LayerNorm(w, eps=1e-6) for w in self.widths)

    def forward(self, x):
        features = []
        for embedding, stage, norm in zip(
            self.embeddings, self.stages, self.norms, strict=True
        ):
            x = stage(embedding(x))
            # In channels last the two permutations are views.
            x = norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            features.append(x)
        return features


class NonLocal(nn.Module):
    """The disentangled non-local block."""

    def __init__(self, channels):
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.key = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.mask = nn.Conv2d(channels, 1, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x):
        query, key = self.query(x), self.key(x)
        query = (query - query.mean((2, 3), keepdim=True)).flatten(2)  # (B, c, N)
        key = (key - key.mean((2, 3), keepdim=True)).flatten(2)
        value = self.value(x).flatten(2)  # (B, C, N)
        pairwise = (query.transpose(1, 2) @ key).softmax(-1)  # (B, N, N)
        unary = self.mask(x).flatten(2).softmax(-1)  # (B, 1, N)
        y = value @ pairwise.transpose(1, 2) + value @ unary.transpose(1, 2)
        return y.reshape(x.shape).contiguous(memory_format=torch.channels_last)


class FRM(nn.Module):
    """Pooled stages side by side, DNL, cut, feed-forward."""

    def __init__(self, channels, width):
        super().__init__()
        self.context = NonLocal(channels)
        self.cut = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        )
        self.feed_forward = FeedForward(width, 8, functional.relu, bias=False)

    def forward(self, features):
        pooled = [
            functional.avg_pool2d(x, factor, ceil_mode=True)
            for x, factor in zip(features, (8, 4, 2), strict=False)
        ]
        x = torch.cat([*pooled, features[3]], 1)
        x = self.cut(x + self.context(x))
        return x + self.feed_forward(x)


def conv_block(inputs, outputs, kernel, bias):
    """Return a convolution, BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def resized(x, size):
    """Return half-pixel bilinear interpolation."""
    return functional.interpolate(x, size, mode="bilinear", align_corners=False)


class FPN(nn.Module):
    """Laterals, sums from the coarsest down, 3x3 on each, all of them fused."""

    def __init__(self, widths, width):
        super().__init__()
        self.laterals = nn.ModuleList(
            conv_block(w, width, 1, bias=True) for w in widths
        )
        self.smooths = nn.ModuleList(
            conv_block(width, width, 3, bias=False) for _ in widths
        )
        self.fuse = conv_block(4 * width, width, 3, bias=False)

    def forward(self, features, context):
        levels = [context]
        for lateral, x in reversed(list(zip(self.laterals, features, strict=True))):
            x = lateral(x)
            levels.insert(0, x + resized(levels[0], x.shape[2:]))
        smooth = [m(x) for m, x in zip(self.smooths, levels, strict=False)]
        size = smooth[0].shape[2:]
        coarse = [resized(x, size) for x in (*smooth[1:], levels[3])]
        return self.fuse(torch.cat([smooth[0], *coarse], 1))


class Network(nn.Module):
    """RGB in [0, 255] to logits at the image's size."""

    def __init__(self, classes, width=128):
        super().__init__()
        self.backbone = VAN()
        self.context = FRM(sum(VAN.widths), width)
        self.decoder = FPN(VAN.widths[:3], width)
        self.classifier = nn.Conv2d(width, classes, 1)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, images):
        features = self.backbone((images.float() - self.mean) / self.std)
        x = self.decoder(features[:3], self.context(features))
        return resized(self.classifier(x), images.shape[2:])


def load(network, path):
    """Copy Keras' weights, which come in the order of the modules."""
    arrays = np.load(path)
    parameters = list(network.parameters())
    if len(arrays.files) != len(parameters):
        sys.exit(f"{len(arrays.files)} arrays for {len(parameters)} parameters")
    for name, parameter in zip(arrays.files, parameters, strict=True):
        array = torch.from_numpy(arrays[name])
        if array.ndim == 4:
            # Depthwise (h, w, C, 1) -> (C, 1, h, w), else (h, w, I, O) -> (O, I, h, w).
            depthwise = parameter.shape[1] == 1
            array = (
                array.permute(2, 3, 0, 1) if depthwise else array.permute(3, 2, 0, 1)
            )
        parameter.data.copy_(array.reshape(parameter.shape))


def training_step(network, optimizer, images, labels):
    """Take a step and return its loss, which may not be known yet.

    `images` are (B, 3, H, W) in channels last, `labels` (B, H, W) of 64 bits.
    """
    optimizer.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(network(images), labels, ignore_index=255)
    loss.backward()
    optimizer.step()
    return loss


def sgd(network):
    """Return the recipe's optimizer."""
    return torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)


def main():
    """Take a step for each line of standard input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("batch", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("threads", type=int)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batch = np.load(arguments.batch)
    # (B, H, W, 3) seen as (B, 3, H, W) is channels last.
    images = torch.from_numpy(batch["images"]).permute(0, 3, 1, 2)
    labels = torch.from_numpy(batch["labels"]).long()
    network = Network(int(batch["classes"])).train()
    load(network, arguments.weights)
    network = network.to(memory_format=torch.channels_last)
    parameters = sum(p.numel() for p in network.parameters())
    optimizer = sgd(network)
    forward = torch.compile(network) if arguments.compile else network
    ready = {"parameters": parameters, "version": f"PyTorch {torch.__version__}"}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        loss = training_step(forward, optimizer, images, labels).item()
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        answer = {"seconds": seconds, "busy": busy, "loss": loss}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
