"""The number of threads that TensorFlow computes an operation with."""

import contextlib

import tensorflow as tf


def limit_threads(threads: int) -> str:
    """Let TensorFlow use so many threads, unless it runs already.

    TensorFlow takes the number when it first computes or reads data, and keeps it.

    Args:
        threads: Number of threads inside an operation.

    Returns:
        What it uses, such as "2 threads".

    Example:
    >>> limit_threads(2).endswith("threads")
    True
    """
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    used = tf.config.threading.get_intra_op_parallelism_threads()
    return f"{used or 'all'} threads"
