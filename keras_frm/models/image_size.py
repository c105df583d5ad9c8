"""Whether training data has the size of a network that takes one size only."""

import keras
import tensorflow as tf


def check_image_size(network: keras.Model, data, what: str, remedy: str) -> None:
    """Refuse images of another size than the network's, before the first step.

    Args:
        network: A Functional model.
        data: What `fit` takes: arrays, a tuple that begins with images, or a
            `tf.data.Dataset` of such; anything else is left to the first step.
        what: Name of the data for the message.
        remedy: What loads the data at the right size; `{size}` stands for that.

    Raises:
        ValueError: The sizes differ; the message names both and the remedy.
    """
    taken = tuple(network.input.shape[1:3])
    given = _size_of(data)
    if None in taken or given is None or given == taken:
        return
    raise ValueError(
        f"The model takes images of {taken[0]}x{taken[1]} pixels only and the {what} "
        f"has {given[0]}x{given[1]}; {remedy.format(size=taken)}."
    )


def _size_of(data):
    """Return height and width of the images, None where they are not known."""
    if isinstance(data, tf.data.Dataset):
        size = _size_of(data.element_spec)
        if size is not None:
            return size
        # Images as they are in their files: the first one stands for all.
        return _size_of(next(iter(data.take(1)), None))
    images = data[0] if isinstance(data, (tuple, list)) and data else data
    shape = getattr(images, "shape", None)
    if shape is None or len(tf.TensorShape(shape).dims or ()) != 4:
        return None
    size = tuple(shape[1:3])
    return None if None in size else size
