"""From decoded arrays to batches that are made in the accelerator's memory."""

from collections.abc import Iterator

import numpy as np
from keras import ops

from keras_frm.backend import Tensor, compiled
from keras_frm.backend.private_hooks import data_adapter
from keras_frm.data.arrays.augmentation import augment as augmented
from keras_frm.data.arrays.order import ArrayOrder
from keras_frm.data.mask_ids import map_ids
from keras_frm.data.merging import merged_like, refuse_other_classes
from keras_frm.labels import LabelSet
from keras_frm.presets import Preset, preset


class DeviceBatches(data_adapter()):
    """Batches for `fit`, `evaluate` and `predict`, from arrays on the device.

    A step and two small arrays of numbers go to the device, and nothing comes back.
    `shuffle=` of `fit` changes nothing: the order is that of `order`. Each iteration,
    as each epoch of `fit`, is the next epoch; one that was not finished comes again.

    Args:
        images: (N, H, W, 3) uint8 RGB, on the device.
        labels: (N, H, W) uint8 train ids, on the device.
        order: What each batch has.
        label_set: The classes.
        options: Options of `keras_frm.data.arrays.augmentation.augment`; None for
            images as they are.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        order: ArrayOrder,
        label_set: LabelSet,
        options: dict | None,
    ):
        self.labels = label_set
        self.augmented = options is not None
        self._arrays = images, labels
        self._order = order
        self._epoch = 0

        def make(images, labels, indices, draws):
            batch = ops.take(images, indices, axis=0), ops.take(labels, indices, axis=0)
            return augmented(*batch, draws, **options) if options else batch

        # Arguments, because what a compiled function closes over is a part of it.
        self._make = compiled(make)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return self._order.steps_per_epoch

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return a batch, the same at every call.

        Args:
            step: The batch's number, from 0 over all epochs.

        Returns:
            (B, h, w, 3) uint8 RGB and (B, h, w) uint8 train ids, on the device.
        """
        numbers = map(ops.convert_to_tensor, self._order.batch(step))
        return self._make(*self._arrays, *numbers)

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        first = self._epoch * self.steps_per_epoch
        for step in range(first, first + self.steps_per_epoch):
            if step == first + self.steps_per_epoch - 1:
                # Who takes as many batches as there are does not come back here.
                self._epoch += 1
            yield self.batch(step)

    # === What Keras asks of an adapter ===

    @property
    def num_batches(self) -> int:
        return self.steps_per_epoch

    @property
    def batch_size(self) -> int:
        return self._order.batch_size

    def get_jax_iterator(self):
        return iter(self)

    def get_tf_dataset(self):
        # No `tf.data.Dataset`: its elements would be copied to the host.
        return self


def dataset_from_arrays(
    name: str | Preset,
    images: np.ndarray,
    masks: np.ndarray,
    *,
    batch_size: int | None = None,
    crop: tuple[int, int] | None = None,
    augment: bool = True,
    seed: int = 0,
    shuffle: bool | None = None,
    drop_remainder: bool | None = None,
    scale_range: tuple[float, float] | None = None,
    flip: bool = True,
    colour_jitter: float | None = None,
    labels: LabelSet | None = None,
) -> DeviceBatches:
    """Train on decoded images that stay in the accelerator's memory.

    The arrays are copied to the device once. Batches are chosen, scaled, cropped,
    mirrored and coloured there, as `load_dataset` does it on the processor, and no
    batch passes through the host. It works on TensorFlow and on JAX, on one device;
    `keras.distribution` shares out batches that are made on the first one.

    The same `seed` gives the same batches in the same order on all backends, and other
    ones than `load_dataset` draws. Each epoch of `fit`, as each iteration, is the next
    epoch, with a new order and new crops; `batch(step)` is any batch of them.

    Args:
        name: Preset whose classes, crop and augmentation are taken, or its name.
        images: (N, H, W, 3) uint8 RGB.
        masks: (N, H, W) uint8 train ids of the preset's classes, or its ignore label.
        batch_size: Examples in a batch; None takes the preset's to train with, and 1
            otherwise.
        crop: Height and width of augmented examples; None takes the preset's.
        augment: Scale, crop, flip and change colours at random. Pass False to validate
            and to evaluate.
        seed: Decides order and augmentation, 0 or more.
        shuffle: Draw a random order; None does so when augmenting.
        drop_remainder: Drop a last, smaller batch; None does so when augmenting.
        scale_range: Smallest and largest factor of the random resize; None takes the
            preset's.
        flip: Mirror every other view.
        colour_jitter: Largest relative change of brightness, contrast and saturation;
            None takes the preset's.
        labels: Classes merged from the preset's, see `keras_frm.merge_classes`; None
            takes the preset's.

    Returns:
        What `fit`, `evaluate` and `predict` take, and `keras_frm.evaluate`: batches of
        (B, h, w, 3) uint8 RGB and (B, h, w) uint8 train ids, with `labels` (the
        `LabelSet`) and `steps_per_epoch`.

    Raises:
        ValueError: An argument is wrong, arrays do not fit each other, or a mask holds
            an id that is no class.

    Example:
    >>> images = np.zeros((4, 40, 60, 3), np.uint8)
    >>> options = {"batch_size": 2, "crop": (32, 32)}
    >>> train = dataset_from_arrays("camvid", images, images[..., 0], **options)
    >>> views, ids = train.batch(0)
    >>> len(train), tuple(views.shape), tuple(ids.shape), train.labels.name
    (2, (2, 32, 32, 3), (2, 32, 32), 'camvid')
    """
    _check_arrays(images, masks)
    chosen = preset(name)
    if batch_size is None:
        batch_size = chosen.batch_size if augment else 1
    order = ArrayOrder(
        len(images),
        batch_size,
        seed,
        shuffle=augment if shuffle is None else shuffle,
        drop_remainder=augment if drop_remainder is None else drop_remainder,
    )
    own = merged_like(chosen.labels, labels)
    refuse_other_classes(labels, own)
    options = {
        "crop": tuple(chosen.crop if crop is None else crop),
        "scale_range": chosen.scale_range if scale_range is None else scale_range,
        "flip": flip,
        "colour_jitter": (
            chosen.colour_jitter if colour_jitter is None else colour_jitter
        ),
        "ignore_label": own.ignore_label,
    }
    return DeviceBatches(
        ops.convert_to_tensor(images),
        ops.convert_to_tensor(_train_ids(masks, own)),
        order,
        own,
        options if augment else None,
    )


def _check_arrays(images, masks):
    """Raise where two arrays are no images and their masks."""
    for name, array in (("images", images), ("masks", masks)):
        if array.dtype != np.uint8:
            raise ValueError(f"{name} are {array.dtype}; pass an array of uint8.")
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(f"images are {images.shape}; pass RGB of (N, H, W, 3).")
    if masks.shape != images.shape[:3]:
        raise ValueError(
            f"masks are {masks.shape} and images {images.shape}; pass a mask (H, W) of "
            "each image's size."
        )


def _train_ids(masks, labels):
    """Return the train ids of masks that hold those of a dataset's own classes."""
    known = labels.stored_ids(train_ids=True)
    found = np.empty_like(masks)
    for number, mask in enumerate(masks):
        found[number], unknown = map_ids(mask, known)
        if unknown:
            raise ValueError(
                f"Mask {number} holds {unknown[0]}, and label set '{labels.name}' has "
                f"{labels.num_classes} classes and ignores {labels.ignore_label}. Pass "
                "train ids, and a preset of their classes."
            )
    return found
