"""Convolution, BatchNorm and ReLU in either order."""

import keras
from keras import ops

from keras_frm.layers.blocks.normalization import batch_norm, conv_initializer
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class ConvBlock(CompositeLayer):
    """Convolution and BatchNorm, with a ReLU or without, in either order.

    Args:
        filters: Output channels.
        kernel_size: Size of the square kernel, odd. Half of it is padded on every
            side, as PyTorch does; Keras' "same" is one-sided at a stride of 2.
        activation: "relu" or None.
        use_bias: Whether the convolution has a bias.
        preactivation: True for BatchNorm, ReLU, convolution (DAPPM's order).
        strides: Stride of the convolution.
        dilation_rate: Distance of the kernel's taps.
        groups: Groups of channels that the convolution keeps apart.
        momentum: Weight of the old average in the BatchNorm's statistics.

    Input: (B, H, W, C). Output: (B, ceil(H / strides), ceil(W / strides), filters).

    Example:
    >>> tuple(ConvBlock(16)(keras.ops.ones((1, 5, 7, 3))).shape)
    (1, 5, 7, 16)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 1,
        activation: str | None = "relu",
        use_bias: bool = False,
        preactivation: bool = False,
        strides: int = 1,
        dilation_rate: int = 1,
        groups: int = 1,
        momentum: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if activation not in ("relu", None):
            raise ValueError(
                f"`activation` must be 'relu' or None. Received: {activation!r}"
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.activation = activation
        self.use_bias = use_bias
        self.preactivation = preactivation
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.groups = groups
        self.momentum = momentum
        padded = strides > 1 and kernel_size > 1
        self.pad = None
        if padded:
            self.pad = keras.layers.ZeroPadding2D(
                kernel_size // 2, name="pad", dtype=self.dtype_policy
            )
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="valid" if padded else "same",
            dilation_rate=dilation_rate,
            groups=groups,
            use_bias=use_bias,
            kernel_initializer=conv_initializer(),
            name="conv",
            dtype=self.dtype_policy,
        )
        self.norm = batch_norm("norm", self.dtype_policy, momentum=momentum)

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.norm.build(
            input_shape
            if self.preactivation
            else self.compute_output_shape(input_shape)
        )
        self.built = True

    def call(self, x, training=False):
        if self.preactivation:
            return self._convolve(self._activate(self.norm(x, training=training)))
        return self._activate(self.norm(self._convolve(x), training=training))

    def _convolve(self, x):
        return self.conv(x if self.pad is None else self.pad(x))

    def _activate(self, x):
        return x if self.activation is None else ops.relu(x)

    def compute_output_shape(self, input_shape):
        sides = (side and -(-side // self.strides) for side in input_shape[1:3])
        return (input_shape[0], *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "activation": self.activation,
            "use_bias": self.use_bias,
            "preactivation": self.preactivation,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "momentum": self.momentum,
        }
