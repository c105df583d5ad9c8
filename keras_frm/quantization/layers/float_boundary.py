"""Where integers end inside an int8 file."""

import keras

# Adding it changes no float32 number above 1e-22, and no converter folds it away.
_ALMOST_NOTHING = 1e-30


@keras.saving.register_keras_serializable(package="keras_frm")
class FloatBoundary(keras.layers.Layer):
    """Keep TFLite's converter from quantising what follows, or what comes before.

    The converter propagates scales through neighbours: it runs means and softmaxes in
    integers where their input is integer, at the input's own scale, which is too
    coarse for a LayerNorm and for an attention over many positions. An addition
    without a range stops it.

    Input and output: (B, ..., C), floating point, the same numbers.

    Example:
    >>> FloatBoundary()(keras.ops.array([0.0, 1.0])).numpy().tolist()[1]
    1.0
    """

    def build(self, input_shape):
        self.built = True

    def call(self, x):
        return x + _ALMOST_NOTHING

    def compute_output_shape(self, input_shape):
        return input_shape
