"""What the network is computed on."""

import os
import platform

import tensorflow as tf


def has_onednn() -> bool:
    """Whether TensorFlow computes on x86 processors alone, with oneDNN as by default.

    Some layers train faster in another form there. Elsewhere it was not measured, and
    they do as Keras does.

    Example:
    >>> isinstance(has_onednn(), bool)
    True
    """
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0"
        and all(d.device_type == "CPU" for d in tf.config.list_logical_devices())
    )
