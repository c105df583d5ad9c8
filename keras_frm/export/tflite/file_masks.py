"""The classes that a .tflite file gives."""

from collections.abc import Iterable

import numpy as np

from keras_frm.runtime.backends.tensors import read_input, read_output


def file_masks(interpreter, images: Iterable[np.ndarray]) -> np.ndarray:
    """Run a file on images.

    Args:
        interpreter: An interpreter of the file with allocated tensors.
        images: Arrays (H, W, 3) uint8 at the file's size.

    Returns:
        (B, h, w) class ids, at the stride of the file.
    """
    image_input = read_input(interpreter, None)
    result = read_output(interpreter, None)
    masks = []
    for image in images:
        interpreter.set_tensor(image_input.index, image_input.prepare(image))
        interpreter.invoke()
        mask = result.decode(interpreter.get_tensor(result.index))
        if mask.ndim == 3:
            mask = mask.argmax(axis=-1)  # (h, w)
        masks.append(mask)
    return np.stack(masks)
