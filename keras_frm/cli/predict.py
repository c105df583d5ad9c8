"""`keras-frm predict`: overlays of images, a folder or a video."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import at_least_one_pixel
from keras_frm.progress import progress_bar

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


def predict(
    model: Annotated[Path, typer.Argument(help="Run folder or .keras file.")],
    source: Annotated[Path, typer.Argument(help="An image, a folder or a video.")],
    out: Annotated[Path, typer.Option(help="Folder for the overlays.")] = Path(
        "predictions"
    ),
    preset: Annotated[
        str | None,
        typer.Option(help="Classes of a model without a config.json beside it."),
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
) -> None:
    """Segment images or a video and write overlays with a legend."""
    from keras_frm.presets import preset as find_preset
    from keras_frm.training.run_folder import load_trained

    if not source.exists():
        raise FileNotFoundError(f"There is no image, folder or video at {source}.")
    labels = find_preset(preset).labels if preset else None
    network, labels = load_trained(model, labels)
    segment = _segmenter(network, resize)
    if source.suffix.lower() in _VIDEOS:
        _predict_video(source, out, segment, labels)
    else:
        _predict_images(_image_files(source), out, segment, labels, masks)


def _segmenter(network, resize) -> Callable:
    """Return a function from an image (H, W, 3) uint8 to its mask (H, W) uint8."""
    import cv2
    import numpy as np
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def mask_of(images):
        logits = network(tf.cast(images, tf.float32), training=False)
        return tf.cast(tf.argmax(logits[0], axis=-1), tf.uint8)  # (H, W)

    def segment(image):
        size = image.shape[1], image.shape[0]
        if resize is not None:
            image = cv2.resize(image, resize[::-1], interpolation=cv2.INTER_LINEAR)
        mask = mask_of(tf.constant(image[None])).numpy()
        return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))

    return segment


def _image_files(source):
    """Return the image files of a folder, or the one file."""
    if not source.is_dir():
        return [source]
    files = sorted(p for p in source.iterdir() if p.suffix.lower() in _IMAGES)
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
    """Write the overlay, and the mask if wanted, of each image."""
    from keras_frm.data.reading import read_image
    from keras_frm.runtime.draw import overlay_with_legend
    from keras_frm.runtime.files import write_png

    with progress_bar("predicting") as progress:
        for done, file in enumerate(files, 1):
            image = read_image(file)
            mask = segment(image)
            picture = overlay_with_legend(image, mask, labels)
            write_png(out / f"{file.stem}_overlay.png", picture)
            if masks:
                write_png(out / f"{file.stem}_mask.png", mask)
            progress(done, len(files))
    print(f"{len(files)} overlays are in {out}")


def _predict_video(source, out, segment, labels):
    """Write the video of overlays."""
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
