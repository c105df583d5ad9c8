"""What the network is computed on."""

import os
import platform

import tensorflow as tf

from keras_frm.processor import processor_flags

# Without one of them TensorFlow leaves oneDNN out, unless it is told to take it.
_FOR_NETWORKS = ("avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")


def computes_on_x86() -> bool:
    """Whether TensorFlow computes on x86 processors alone.

    Some layers train faster in another form there. Elsewhere it was not measured, and
    they do as Keras does.

    Example:
    >>> isinstance(computes_on_x86(), bool)
    True
    """
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    devices = tf.config.list_logical_devices()
    return is_x86 and all(device.device_type == "CPU" for device in devices)


def has_onednn() -> bool:
    """Whether TensorFlow computes on x86 processors alone, with oneDNN.

    Example:
    >>> isinstance(has_onednn(), bool)
    True
    """
    return computes_on_x86() and _is_switched_on()


def _is_switched_on() -> bool:
    wanted = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    if wanted is not None:
        return wanted.lower() in ("1", "true")
    return bool(processor_flags().intersection(_FOR_NETWORKS))
