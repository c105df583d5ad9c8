"""`keras-frm predict`: overlays of images, a folder, a video or a camera."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import at_least_one_pixel
from keras_frm.cli.trained import note, note_numbers, remedies
from keras_frm.progress import progress_bar

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


def predict(
    model: Annotated[Path, typer.Argument(help="Run folder, .keras or .tflite.")],
    source: Annotated[
        Path, typer.Argument(help="An image, a folder, a video, camera or camera:1.")
    ],
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
        int | None, typer.Option(help="Threads of a .tflite file.", min=1)
    ] = None,
) -> None:
    """Segment images, a video or a camera and write overlays with a legend."""
    camera = _camera_index(source)
    if camera is None and not source.exists():
        raise FileNotFoundError(f"There is no image, folder or video at {source}.")
    if model.suffix.lower() == ".tflite":
        if resize is not None:
            raise ValueError("--resize does not fit a .tflite file: its size is fixed.")
        segment, labels = _device_segmenter(model, preset, threads)
    else:
        if threads is not None:
            raise ValueError("--threads is for .tflite files only.")
        segment, labels = _trained_segmenter(model, preset, resize)
    note_numbers(model, labels)
    if camera is not None:
        _predict_camera(camera, out, segment, labels)
    elif source.suffix.lower() in _VIDEOS:
        _predict_video(source, out, segment, labels)
    else:
        _predict_images(_image_files(source), out, segment, labels, masks)


def _camera_index(source: Path) -> int | None:
    """Return the index that `camera` or `camera:1` names, None for files."""
    name, _, index = str(source).partition(":")
    if name != "camera" or source.exists():
        return None
    if index and not (index.isascii() and index.isdecimal() and len(index) < 4):
        raise ValueError(f"'{source}' names no camera; write camera or camera:1.")
    return int(index or 0)


def _device_segmenter(model: Path, preset: str | None, threads: int | None):
    """Return a function from an image to its mask, and the labels; no TensorFlow."""
    from keras_frm.runtime.segmenter import Segmenter

    segmenter = Segmenter(model, num_threads=threads)
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


def _image_files(source):
    if not source.is_dir():
        return [source]
    from keras_frm.images.finding import find_files

    files = find_files(source, _IMAGES, deep=False)
    if not files:
        raise FileNotFoundError(
            f"{source} holds no image; known endings are {', '.join(_IMAGES)}."
        )
    doubled = {p.stem for p in files if sum(p.stem == q.stem for q in files) > 1}
    if doubled:
        raise ValueError(
            f"{source} holds several images named {', '.join(sorted(doubled))}; their "
            "overlays would overwrite each other. Rename them."
        )
    return files


def _predict_images(files, out, segment, labels, masks):
    """Write overlays of images; of several, what cannot be read is named and left out.

    Raises:
        DataError: The only image cannot be read.
        typer.Exit: Of several images some could not; the code is 1.
    """
    from keras_frm.files import DataError, write_png
    from keras_frm.images.reading import read_image
    from keras_frm.runtime.draw import overlay_with_legend

    unread = 0
    with progress_bar("predicting") as progress:
        for done, file in enumerate(files, 1):
            try:
                image = read_image(file, upright=True)
            except DataError as error:
                if len(files) == 1:
                    raise
                unread += 1
                note(f"keras-frm: {error}")
                progress(done, len(files))
                continue
            mask = segment(image)
            picture = overlay_with_legend(image, mask, labels)
            write_png(out / f"{file.stem}_overlay.png", picture)
            if masks:
                write_png(out / f"{file.stem}_mask.png", mask)
            progress(done, len(files))
    print(f"{len(files) - unread} overlays are in {out}")
    if unread:
        note(f"keras-frm: {unread} of {len(files)} images could not be read")
        raise typer.Exit(1)


def _predict_video(source, out, segment, labels):
    from keras_frm.runtime.draw import overlay_with_legend
    from keras_frm.runtime.video import annotate_video

    target = out / f"{source.stem}_overlay.mp4"
    with progress_bar("predicting") as progress:
        count = annotate_video(
            source,
            target,
            lambda frame: overlay_with_legend(frame, segment(frame), labels),
            progress=progress,
        )
    print(f"{count} frames are in {target}")


def _predict_camera(index, out, segment, labels):
    """Show the overlays of a camera, or write them where nothing can show them."""
    from keras_frm.runtime.draw import overlay_with_legend
    from keras_frm.runtime.live import NoDisplayError, run_live, window
    from keras_frm.runtime.video import annotate_video, frames

    def annotate(frame):
        return overlay_with_legend(frame, segment(frame), labels)

    try:
        with window("keras-frm: q or Esc ends") as show:
            count = run_live(frames(index), annotate, show, drop=True)
        print(f"{count} frames were shown")
    except NoDisplayError as error:
        target = out / f"camera_{index}_overlay.mp4"
        print(f"{error} Recording to {target} until Ctrl-C.")
        count = annotate_video(index, target, annotate)
        print(f"{count} frames are in {target}")
