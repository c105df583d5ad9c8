"""The import of TFMOT, which asks for Keras 2, in a process that uses Keras 3."""

import functools
import os

import tensorflow as tf

_LEGACY = "TF_USE_LEGACY_KERAS"


@functools.cache
def tfmot_quantizers():
    """Return TFMOT's module of quantizers, and leave the process in Keras 3.

    Raises:
        ImportError: TFMOT or tf-keras is missing.
    """
    before = os.environ.get(_LEGACY)
    try:
        # TFMOT sets the variable; `tf.keras` becomes Keras 2 if nobody used it before.
        _ = tf.keras.layers
        import tensorflow_model_optimization as tfmot
    except ImportError as error:
        raise ImportError(
            "Quantisation-aware training needs tensorflow-model-optimization and "
            "tf-keras: pip install 'keras_frm[train]'."
        ) from error
    finally:
        if before is None:
            os.environ.pop(_LEGACY, None)
        else:
            os.environ[_LEGACY] = before
    return tfmot.quantization.keras.quantizers
