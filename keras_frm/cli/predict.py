"""`keras-frm predict`: overlays of images, folders, videos, cameras and streams."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import Provider, at_least_one_pixel
from keras_frm.cli.results import check_targets
from keras_frm.cli.sources import find_sources, split_model
from keras_frm.cli.trained import note, note_numbers, remedies
from keras_frm.progress import progress_bar
from keras_frm.runtime.backends.network import MODEL_ENDINGS
from keras_frm.weights.shipped import LicenceNotice, find_shipped


def predict(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL SOURCE",
            help="A run, .keras, .tflite or .onnx; then images, folders, patterns, "
            "videos, camera, camera:1, rtsp:// or http:// streams.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The model, if no argument is it; or weights of the package "
            "(keras-frm weights), as where none is named."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the overlays.")] = Path(
        "predictions"
    ),
    preset: Annotated[
        str | None,
        typer.Option(help="Classes; else the run's or the model's own, or numbers."),
    ] = None,
    masks: Annotated[
        bool, typer.Option(help="Write the masks (PNG of train ids) too.")
    ] = False,
    resize: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Height and width the network sees; the mask is put back.",
            callback=at_least_one_pixel,
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of a .tflite or .onnx file.", min=1)
    ] = None,
    provider: Provider = None,
) -> None:
    """Segment images, videos or a camera and write overlays with a legend."""
    chosen, given = split_model(arguments or [], model)
    sources = find_sources(given, out)
    check_targets(sources, masks)
    is_shipped = find_shipped(chosen) is not None
    if is_shipped or chosen.suffix.lower() in MODEL_ENDINGS:
        if resize is not None:
            raise ValueError(f"--resize does not fit {chosen}: its size is fixed.")
        segment, labels = _device_segmenter(chosen, preset, threads, provider)
    else:
        if threads is not None or provider is not None:
            raise ValueError(
                "--threads and --provider are for exported files, such as .tflite."
            )
        segment, labels = _trained_segmenter(chosen, preset, resize)
    note_numbers(chosen, labels)

    failures: list[Exception] = []
    going_on = functools.partial(_going_on, failures, alone=len(sources) == 1)
    images = [source for source in sources if source.is_image]
    if images:
        _predict_images(images, out, segment, labels, masks, going_on)
    for source in sources[len(images) :]:
        predict_moving = _predict_live if source.is_live else _predict_video
        with going_on():
            predict_moving(source.read, source.overlay, segment, labels)
    if failures:
        counted = f"{len(failures)} of {len(sources)}"
        only_images = len(images) == len(sources)
        what = "images could not be read" if only_images else "sources are not whole"
        note(f"keras-frm: {counted} {what}")
        raise typer.Exit(1)


def _device_segmenter(
    model: Path | str, preset: str | None, threads: int | None, provider: str | None
):
    """Return a function from an image to its mask, and the labels; no TensorFlow."""
    from keras_frm.runtime.segmenter import Segmenter

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", LicenceNotice)
        segmenter = Segmenter(model, num_threads=threads, provider=provider)
    for warning in said:
        note(str(warning.message))
    if preset is None:
        return segmenter, segmenter.labels
    from keras_frm.presets import preset as find_preset

    return segmenter, find_preset(preset).labels


def _trained_segmenter(model: Path, preset: str | None, resize):
    """Return a function from an image to its mask, and the labels."""
    from keras_frm.presets import preset as find_preset
    from keras_frm.training.run_folder import load_trained

    labels = find_preset(preset).labels if preset else None
    with remedies(labels="name its classes with --preset"):
        network, labels = load_trained(model, labels)
    fixed = network.input_shape[1:3]
    if None in fixed:
        return _segmenter(network, resize), labels
    if resize not in (None, fixed):
        raise ValueError(
            f"--resize does not fit {model}: its size is {fixed[0]}x{fixed[1]} always."
        )
    return _segmenter(network, fixed), labels


def _segmenter(network, size) -> Callable:
    """Return a function from an image (H, W, 3) uint8 to its mask (H, W) uint8.

    Args:
        network: From images to logits.
        size: Height and width it is to see; None for the image's.
    """
    import tensorflow as tf

    from keras_frm.evaluation.predictors import segment_resized

    @tf.function(reduce_retracing=True)
    def logits_of(images):
        return network(tf.cast(images, tf.float32), training=False)  # (1, H, W, C)

    @tf.function(reduce_retracing=True)
    def mask_of(images):
        return tf.cast(tf.argmax(logits_of(images)[0], axis=-1), tf.uint8)  # (H, W)

    if size is None:
        return lambda image: mask_of(tf.constant(image[None])).numpy()
    return lambda image: segment_resized(
        image, lambda images: logits_of(tf.constant(images)).numpy(), size
    )


@contextlib.contextmanager
def _going_on(failures: list[Exception], alone: bool) -> Iterator[None]:
    """Note what cannot be read and go on; an error of the only source is raised."""
    from keras_frm.files import DataError

    try:
        yield
    except (DataError, FileNotFoundError) as error:
        if alone:
            raise
        failures.append(error)
        note(f"keras-frm: {error}")


def _predict_images(sources, out, segment, labels, masks, going_on):
    """Write overlays of images, and their masks if wanted."""
    from keras_frm.files import write_png
    from keras_frm.images.reading import read_image
    from keras_frm.runtime.draw import overlay_with_legend

    written = 0
    with progress_bar("predicting") as progress:
        for done, source in enumerate(sources, 1):
            with going_on():
                image = read_image(source.read, upright=True)
                mask = segment(image)
                write_png(source.overlay, overlay_with_legend(image, mask, labels))
                if masks:
                    write_png(source.mask, mask)
                written += 1
            progress(done, len(sources))
    print(f"{written} overlays are in {out}")


def _predict_video(source, target, segment, labels):
    from keras_frm.runtime.draw import overlay_with_legend
    from keras_frm.runtime.video import annotate_video

    with progress_bar("predicting") as progress:
        count = annotate_video(
            source,
            target,
            lambda frame: overlay_with_legend(frame, segment(frame), labels),
            progress=progress,
        )
    print(f"{count} frames are in {target}")


def _predict_live(source, target, segment, labels):
    """Show the overlays of a camera, or write them where nothing can show them."""
    from keras_frm.runtime.draw import overlay_with_legend
    from keras_frm.runtime.live import NoDisplayError, run_live, window
    from keras_frm.runtime.video import annotate_video, frames

    def annotate(frame):
        return overlay_with_legend(frame, segment(frame), labels)

    try:
        with window("keras-frm: q or Esc ends") as show:
            count = run_live(frames(source), annotate, show, drop=True)
        print(f"{count} frames were shown")
    except NoDisplayError as error:
        print(f"{error} Recording to {target} until Ctrl-C.")
        count = annotate_video(source, target, annotate)
        print(f"{count} frames are in {target}")
