"""A convolution that computes with integers, as an int8 file does."""

import keras
from keras import ops

from keras_frm.graph.layer_like import layer_like
from keras_frm.quantization.layers.integer_grid import rescale_and_round, round_mantissa
from keras_frm.quantization.layers.trained_convolution import TrainedConvolution


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedConvolution(TrainedConvolution):
    """Run a convolution or a Dense layer on integers, and train its float weights.

    Input, kernel and bias are integers times their scales, their sums are requantised
    to the scale of the result: number by number what the kernels of an int8 file
    compute, up to the ends of the result's range. A number that is rounded the other
    way is a whole step off, and a few layers later it has reached every number.

    Args:
        layer: A `Conv2D`, `Conv1D`, `DepthwiseConv2D` or `Dense`.

    Call arguments:
        x: The layer's input, multiples of `input_scale`.
        input_scale: Distance of the input's numbers, a scalar.
        output_scale: Distance of the result's numbers, a scalar.

    Output: the layer's, multiples of `output_scale`. Each output channel of the kernel
    has its own scale, in depthwise convolutions too, with twelve significant bits; the
    constant `gain` of the channel is in it, which is 1 unless the layer was made by
    `of`. In training only the kernel is rounded, which costs a fraction: the range
    behind the layer rounds the result. Gradients pass the rounding.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, 2018, section 2.4.

    Example:
    >>> layer = QuantizedConvolution(keras.layers.Dense(1, use_bias=False))
    >>> layer.build((None, 2))
    >>> layer.layer.set_weights([keras.ops.array([[1.27], [0.006]])])
    >>> x = keras.ops.array([[0.0, 2.0], [0.5, 0.0]])
    >>> layer(x, input_scale=0.5, output_scale=0.02).numpy().round(4).tolist()
    [[0.019999999552965164], [0.6399999856948853]]
    """

    def build(self, x_shape, input_scale_shape=None, output_scale_shape=None):
        super().build(x_shape)

    def call(self, x, input_scale, output_scale, training=False):
        if training:
            kernel, *bias = (ops.convert_to_tensor(w) for w in self.layer.weights)
            kernel = self.fake_quant(kernel) * self.by_kernel(self.gain)
            return self.with_weights(x, [kernel, *(b * self.gain for b in bias)])
        input_scale = ops.cast(input_scale, "float32")
        output_scale = ops.cast(output_scale, "float32")
        kernel, bias, sum_scale = self._integers(input_scale)
        # Half precision has not the bits for the sums.
        integers = ops.cast(x, "float32") / input_scale
        sums = self.with_weights(integers, [kernel, *bias])
        y = rescale_and_round(sums, sum_scale / output_scale, output_scale)
        return ops.cast(y, self.compute_dtype)

    def compute_output_spec(self, x, input_scale, output_scale, **kwargs):
        shape = self.layer.compute_output_shape(x.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def frozen(self, input_scale: float, suffix: str = "") -> keras.layers.Layer:
        """Return a plain layer whose weights are constants, on the integers' grid.

        Args:
            input_scale: Distance of the input's numbers.
            suffix: What its name has at the end.
        """
        kernel, bias, sum_scale = self._integers(input_scale)
        kernel_scale = self.by_kernel(sum_scale / input_scale)
        weights = [kernel * kernel_scale, *(b * sum_scale for b in bias)]
        return layer_like(self.layer, weights, name=self.layer.name + suffix)

    def _integers(self, input_scale):
        """Return kernel, biases (none or one), and the scale of their sums.

        The last is (C_out,): each output channel has its own.
        """
        kernel, *bias = (ops.convert_to_tensor(w) for w in self.layer.weights)
        gain = ops.cast(self.gain, "float64")
        kernel_scale = round_mantissa(gain * self.fake_quant.scales(kernel))  # (C_out,)
        sum_scale = kernel_scale * input_scale  # (C_out,)
        # In float64, in which no integer depends on how a compiler orders this.
        per_unit = gain / ops.cast(sum_scale, "float64")
        biases = [
            rescale_and_round(ops.cast(b, "float64"), per_unit, 1.0) for b in bias
        ]
        biases = [ops.cast(b, "float32") for b in biases]
        multiplier = self.by_kernel(self.gain / kernel_scale)
        kernel = rescale_and_round(self.fake_quant(kernel), multiplier, 1.0)
        return kernel, biases, sum_scale
