"""Backbones: what gives four stages at 1/4 to 1/32 of an image."""

from collections.abc import Sequence

import keras

from keras_frm.layers.blocks.padding import CropToStride, PadToMultiple

STRIDES = (4, 8, 16, 32)

# ImageNet's mean and standard deviation of RGB in [0, 255].
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)

# Heights and widths that tell a stride, and how sizes between are rounded.
_PROBES = ((64, 96), (75, 109))


def imagenet_normalization(name: str = "normalization", dtype=None) -> keras.Layer:
    """Return a layer from RGB in [0, 255] to ImageNet's mean 0 and variance 1."""
    return keras.layers.Rescaling(
        scale=[1 / std for std in _STD],
        offset=[-mean / std for mean, std in zip(_MEAN, _STD, strict=True)],
        dtype=dtype,
        name=name,
    )


def backbone_from(
    model: keras.Model,
    layer_names: Sequence[str] | None = None,
    preprocessing: keras.Layer | None = None,
    name: str = "backbone",
) -> keras.Model:
    """Cut a backbone out of a model, such as one of `keras.applications`.

    It takes images of any size: black pixels are added below and to the right up to a
    multiple of 32, and the stages are cut to what the image asks for, for most of these
    models round sizes down that 32 does not divide.

    Args:
        model: A Functional model of images of any size: build it with
            `input_shape=(None, None, 3), include_top=False`.
        layer_names: Names of the four layers whose results are the stages at 1/4, 1/8,
            1/16 and 1/32; None for a model that returns these.
        preprocessing: Layer from RGB in [0, 255] to what the model takes, such as
            `keras.layers.Rescaling(1 / 127.5, offset=-1)`; None for models with a
            rescaling of their own (MobileNetV3, EfficientNet, EfficientNetV2).
        name: Name of the backbone.

    Returns:
        A Functional model from (B, H, W, 3), RGB in [0, 255], to a list of four stages,
        which shares its weights with `model`.

    Raises:
        ValueError: A layer does not exist, the model takes images of one size, or the
            stages have other strides.

    Example:
    >>> model = keras.applications.MobileNetV3Small(
    ...     input_shape=(None, None, 3), include_top=False, weights=None
    ... )
    >>> names = ("expanded_conv_project_bn", "expanded_conv_2_add")
    >>> names += ("expanded_conv_7_add", "expanded_conv_10_add")
    >>> backbone = backbone_from(model, names)
    >>> [stage.shape[1:3] for stage in backbone(keras.ops.ones((1, 33, 64, 3)))][0]
    TensorShape([9, 16])
    """
    if layer_names is None:
        cut = model
    else:
        cut = keras.Model(model.inputs, [_output_of(model, n) for n in layer_names])
    size = model.inputs[0].shape[1:3]
    if None not in size:
        raise ValueError(
            f"Model '{model.name}' takes images of {size[0]}x{size[1]} only; build it "
            "with input_shape=(None, None, 3)."
        )
    check_stages(model.name, cut, sizes=_PROBES[:1])

    image = keras.Input((None, None, 3), name="image")  # (B, H, W, 3)
    x = PadToMultiple(STRIDES[-1], name="pad")(image)
    if preprocessing is not None:
        x = preprocessing(x)
    stages = [
        CropToStride(stride, name=f"stage_{index}")(stage, image)
        for index, (stage, stride) in enumerate(zip(cut(x), STRIDES, strict=True), 1)
    ]  # (B, H / stride, W / stride, C)
    return keras.Model(image, stages, name=name)


def check_stages(
    name: str, model: keras.Model, sizes: Sequence[tuple[int, int]] = _PROBES
) -> None:
    """Raise a ValueError where a model does not give the four stages.

    Args:
        name: What the message calls the model.
        model: A Functional model from an image to its stages.
        sizes: Heights and widths of images to try, unless the model's are fixed.
    """
    own = model.inputs[0].shape[1:3]
    for height, width in sizes if None in own else [own]:
        image = keras.KerasTensor((1, height, width, 3))
        stages = keras.tree.flatten(model.compute_output_spec(image))
        found = [tuple(stage.shape[1:3]) for stage in stages]
        wanted = [(-(-height // s), -(-width // s)) for s in STRIDES]
        if found != wanted:
            raise ValueError(
                f"Backbone '{name}' makes {_listed(found)} of an image of "
                f"{height}x{width}; four stages of {_listed(wanted)} are needed "
                "(keras_frm.backbone_from cuts them out of a model)."
            )


def _output_of(model, name):
    known = [layer.name for layer in model.layers]
    if name not in known:
        raise ValueError(
            f"Model '{model.name}' has no layer '{name}'. Some of its layers: "
            f"{', '.join(known[:: max(1, len(known) // 12)])}."
        )
    return model.get_layer(name).output


def _listed(sizes):
    return ", ".join("x".join(map(str, size)) for size in sizes) or "no maps"
