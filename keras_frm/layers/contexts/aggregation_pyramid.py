"""What DAPPM and PAPPM share: average pools of rising scale beside the features."""

from collections.abc import Iterator

from keras import ops

from keras_frm.backend import Tensor
from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.resizing import resize_like
from keras_frm.layers.composite import CompositeLayer

# Kernel, stride and padding of the average pools; None is the whole image.
POOLS = ((5, 2, 2), (9, 4, 4), (17, 8, 8), None)


class AggregationPyramid(CompositeLayer):
    """Pooled features at their own size, what a subclass makes of them, and a shortcut.

    Args:
        filters: Output channels.
        branch_filters: Channels of each branch.
        momentum: See `ConvBlock`.

    Input: (B, H, W, C). Output: (B, H, W, filters).
    """

    def __init__(
        self, filters: int, branch_filters: int, momentum: float = 0.9, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.branch_filters = branch_filters
        self.momentum = momentum
        self.scales = [
            self._block(branch_filters, 1, f"scale_{i}") for i in range(len(POOLS) + 1)
        ]
        self._make_processes()
        self.compression = self._block(filters, 1, "compression")
        self.shortcut = self._block(filters, 1, "shortcut")

    def _block(self, filters, kernel_size, name, groups=1):
        """Return BatchNorm, ReLU, convolution."""
        return ConvBlock(
            filters,
            kernel_size,
            preactivation=True,
            groups=groups,
            momentum=self.momentum,
            name=name,
            dtype=self.dtype_policy,
        )

    def _make_processes(self) -> None:
        """Make the layers between the scales and the compression."""
        raise NotImplementedError

    def _build_processes(self, input_shape) -> None:
        """Build them; `input_shape` is the layer's own."""
        raise NotImplementedError

    def build(self, input_shape):
        for scale in self.scales:
            scale.build(input_shape)
        self._build_processes(input_shape)
        merged = len(self.scales) * self.branch_filters
        self.compression.build((*input_shape[:-1], merged))
        self.shortcut.build(input_shape)
        self.built = True

    def _pooled_scales(self, x: Tensor, training: bool) -> Iterator[Tensor]:
        """Yield the scale of each pool at the input's size: (B, H, W, branch)."""
        for pool, scale in zip(POOLS, self.scales[1:], strict=True):
            yield resize_like(scale(_average_pool(x, pool), training=training), x)

    def _compressed(self, branches: list[Tensor], x: Tensor, training: bool) -> Tensor:
        """Merge branches of 5 * branch channels in all, and add the shortcut."""
        merged = ops.concatenate(branches, axis=-1)  # (B, H, W, 5 * branch)
        merged = self.compression(merged, training=training)
        return merged + self.shortcut(x, training=training)  # (B, H, W, filters)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "branch_filters": self.branch_filters,
            "momentum": self.momentum,
        }


def _average_pool(x, pool):
    """Average over windows that include the zero padding, or over the image."""
    if pool is None:
        return ops.mean(x, axis=(1, 2), keepdims=True)  # (B, 1, 1, C)
    size, stride, pad = pool
    x = ops.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    # (B, ceil(H / stride), ceil(W / stride), C)
    return ops.average_pool(x, size, stride, padding="valid")
