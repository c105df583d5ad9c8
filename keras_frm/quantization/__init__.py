"""Integer arithmetic simulated in a Keras graph: after training and while training.

The words, as TFMOT, TFLite and PyTorch use them:

    range: minimum and maximum of a tensor, zero among them.
    grid: the numbers that the 256 (symmetric: 255) integers of a range stand for:
        its smallest and largest number and the scale. The ends of a range move to the
        next grid on which zero is a number (TensorFlow: nudging).
    scale: distance of two neighbours on a grid, a "step".
    quantise, dequantise: float numbers to integers, and back.
    fake quantisation: both at once, so that a float tensor has the numbers of the
        integers. Gradients pass it (straight-through estimator).
    requantise: bring an operation's integer result to the grid of its output, by a
        multiplication with a quotient of scales and one rounding.
    calibration: measuring ranges on images.
    observer: what moves a range towards a tensor's extremes while training.
    fixed range: a range that the kernel of an operation dictates.
    fused activation: a ReLU that the kernel before it computes.
    BatchNorm folding: a BatchNorm's factors in the weights beside it, see
        `keras_frm.graph.passes`.
    cross-layer equalisation: factors moved between layers, so that the channels of a
        tensor have one size.
    freeze: a range no observer moves any more (`freeze_after`); a graph whose ranges
        and kernels are constants, for the export.

A `Plan` decides which tensors have ranges, `calibrate` measures them, `fake_quantize`
puts them into the graph. Training replaces the operations as well, by layers of
`keras_frm.quantization.layers` that compute as the integer kernels do
(`IntegerArithmetic`); `freeze` brings such a graph back to the first form.
"""
