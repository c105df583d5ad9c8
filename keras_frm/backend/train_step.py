"""The training step of the backend that Keras runs on."""

import keras

from keras_frm.backend import require_tensorflow


def train_step_mixin() -> type:
    """Return the class that gives a `keras.Model` its steps on this backend.

    It has `train_step` and `test_step` as the backend's `fit` calls them, `watched`,
    which makes a training function refuse wrong images, and `image_levels`. The sum of
    the losses and what the logs show are the model's, see `CheckedStepModel`.

    Raises:
        ValueError: Keras runs on a backend that the package does not train on.

    Example:
    >>> train_step_mixin().__module__
    'keras_frm.backend.tensorflow.train_step'
    """
    if keras.backend.backend() == "jax":
        from keras_frm.backend.jax.train_step import TrainStep
    else:
        require_tensorflow("A trainable model of keras_frm")
        from keras_frm.backend.tensorflow.train_step import TrainStep
    return TrainStep
