"""What the network is computed on."""

import os
import platform

import tensorflow as tf

from keras_frm.processor import processor_flags

# Without one of them TensorFlow leaves oneDNN out, unless it is told to take it.
_FOR_NETWORKS = ("avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")


def has_onednn() -> bool:
    """Whether TensorFlow computes on x86 processors alone, with oneDNN.

    Some layers train faster in another form there. Elsewhere it was not measured, and
    they do as Keras does.

    Example:
    >>> isinstance(has_onednn(), bool)
    True
    """
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and _is_switched_on()
        and all(d.device_type == "CPU" for d in tf.config.list_logical_devices())
    )


def _is_switched_on() -> bool:
    wanted = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    if wanted is not None:
        return wanted.lower() in ("1", "true")
    return bool(processor_flags().intersection(_FOR_NETWORKS))
