"""The moving average of the weights, in the model's place while it is validated."""

import contextlib
from collections.abc import Iterator

import keras

from keras_frm.backend.private_hooks import moving_average
from keras_frm.optimizers.loss_scaling import without_loss_scaling


class AveragedWeights(keras.callbacks.Callback):
    """Swap weights and their moving average before and after a validation.

    `keras.callbacks.SwapEMAWeights` swaps by adding and subtracting, which changes
    the weights by a rounding error each time; here they come back bit by bit, so that
    a resumed training equals one that was not interrupted.
    """

    def __init__(self):
        super().__init__()
        self._is_in = False

    def on_test_begin(self, logs=None):
        self._swap(True)

    def on_test_end(self, logs=None):
        self._swap(False)

    def bring_back(self) -> None:
        """Put the weights of the training into the model, where they are not."""
        self._swap(False)

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """Have the averaged weights in the model while the block runs."""
        self._swap(True)
        try:
            yield
        finally:
            self._swap(False)

    def _swap(self, wanted):
        """Swap weights and average, unless they are as wanted."""
        if self._is_in == wanted:
            return
        optimizer = without_loss_scaling(self.model.optimizer)
        for weight, average in zip(
            self.model.trainable_variables,
            moving_average(optimizer),
            strict=True,
        ):
            value = keras.ops.convert_to_numpy(weight)
            weight.assign(average)
            average.assign(value)
        self._is_in = wanted
