"""The first images of a training, watched by the step itself."""

from collections.abc import Callable

import tensorflow as tf

from keras_frm.backend.image_levels import are_wrong, refuse_wrong


class ImageLevels:
    """Watch a training's first images, whatever gives them; nothing is read twice.

    The step itself notes the range of the first batch that is not black, once. Images
    in [0, 1], or normalised around 0, make the step one to leave out and end the
    training after it. Only float images are watched: whole numbers are levels.

    Example:
    >>> levels = ImageLevels()
    >>> float(levels.loss_of(tf.constant([0.2, 180.0]), 1.5))
    1.5
    """

    def __init__(self):
        self._low, self._high = (
            tf.Variable(
                0.0,
                trainable=False,
                # Each replica notes its own images.
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for _ in range(2)
        )
        self._strategy = tf.distribute.get_strategy()
        self._watches = self._is_decided = False

    def reset(self) -> None:
        """Forget the images seen: others follow."""
        self._is_decided = False
        if self._watches:
            self._low.assign(0.0)
            self._high.assign(0.0)

    def loss_of(self, images: tf.Tensor, loss: tf.Tensor) -> tf.Tensor:
        """Return a step's loss, or NaN where it is one of wrong images.

        Args:
            images: (B, H, W, 3), this replica's.
            loss: Scalar.
        """
        images = tf.convert_to_tensor(images)
        if not images.dtype.is_floating:
            return loss
        self._watches = True
        low, high = tf.cond(
            (self._low < 0) | (self._high > 0),
            lambda: (tf.identity(self._low), tf.identity(self._high)),
            lambda: (_float(tf.reduce_min(images)), _float(tf.reduce_max(images))),
        )
        self._low.assign(low)
        self._high.assign(high)
        return tf.where(are_wrong(low, high), float("nan"), loss)

    def checked(self, function: Callable) -> Callable:
        """Return a training function that raises after steps of wrong images."""

        def call(iterator):
            logs = function(iterator)
            if self._watches and not self._is_decided:
                self._decide()
            return logs

        return call

    def _decide(self):
        """Raise if this machine's first images are wrong; wait while they are black."""
        local = self._strategy.experimental_local_results
        low = min(float(each.numpy()) for each in local(self._low))
        high = max(float(each.numpy()) for each in local(self._high))
        self._is_decided = low < 0 or high > 0
        if are_wrong(low, high):
            self.reset()
        refuse_wrong(low, high)


def _float(value):
    return tf.cast(value, tf.float32)
