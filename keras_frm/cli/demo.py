"""`keras-frm demo`: the whole way on synthetic scenes, with no data at hand."""

import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.comparison import compare_files
from keras_frm.progress import progress_bar

# Smaller than the published sizes: the demo is to take minutes on two cores.
_BACKBONE = {
    "embed_dims": (16, 32, 64, 128),
    "mlp_ratios": (4, 4, 4, 4),
    "depths": (1, 1, 2, 1),
}
# All that a demo leaves, and what `replacing` leaves of a file where it was killed.
_LEFT = re.compile(
    r"config\.json|log\.csv|curves\.png|(best|last|final)\.keras|checkpoints|samples"
    r"|tensorboard|overlay\.png|confusion\.png|iou\.(csv|md)|frm_(float32|int8)\.tflite"
    r"|benchmark\.(csv|md|png)|\.[0-9a-f]{32}\..+"
)


def demo(
    out: Annotated[
        Path, typer.Option(help="Run folder to make, in the place of an older demo.")
    ] = Path("demo"),
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    scenes: Annotated[int, typer.Option(help="Training scenes.", min=8)] = 160,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train a small network on synthetic street scenes, export it, score the files."""
    import dataclasses

    import keras

    from keras_frm.cli.datasets import settings_of
    from keras_frm.data.pipeline import load_dataset
    from keras_frm.evaluation import report
    from keras_frm.evaluation.evaluate import evaluate
    from keras_frm.files import write_png
    from keras_frm.layers import VAN
    from keras_frm.models.build import build_model
    from keras_frm.presets import preset
    from keras_frm.runtime.draw import grid, overlay_with_legend
    from keras_frm.training.run_folder import load_trained, new_run
    from keras_frm.training.train import train

    keras.utils.set_random_seed(seed)
    chosen = dataclasses.replace(preset("synthetic"), epochs=epochs)
    size = chosen.crop
    train_data = load_dataset(chosen, resize=size, count=scenes, seed=seed)
    validation_data = load_dataset(
        chosen, split="val", resize=size, count=max(8, scenes // 8)
    )
    backbone = VAN(**_BACKBONE, drop_path_rate=0.0, name="backbone")
    model = build_model(chosen, backbone=backbone, decoder_width=32)
    model.compile()
    settings = {"scenes": scenes, "epochs": epochs, "seed": seed}
    config = {"command": "demo", **settings, "backbone": _BACKBONE}
    config["preset"] = settings_of(chosen)
    remove_older_demo(out)
    with new_run(out, config, chosen.labels) as folder:
        train(model, train_data, validation_data, folder, chosen.labels, epochs=epochs)

    best, labels = load_trained(folder)
    pictures = []

    def draw(index, image, label, mask):
        if index < 4:
            pictures.append(overlay_with_legend(image, mask, labels))

    with progress_bar("evaluating") as progress:
        result = evaluate(
            best, validation_data, labels=labels, progress=progress, on_image=draw
        )
    report.save(result, folder)
    write_png(folder / "overlay.png", grid(pictures, columns=2))
    print(report.to_text(result))
    calibration = load_dataset(
        "synthetic", batch_size=1, augment=False, resize=size, count=scenes
    )
    files = _exported(best, labels, folder, calibration, size)
    compared = (files, validation_data, labels, folder, "synthetic scenes")
    print(compare_files(*compared), end="")
    print(
        "overlay.png, iou.md, curves.png, weights, frm_float32.tflite, frm_int8.tflite "
        f"and benchmark.md are in {folder}"
    )


def remove_older_demo(folder: Path) -> None:
    """Remove what an older demo left in a folder, whether it finished or not.

    Args:
        folder: The run folder; nothing happens if there is none.

    Raises:
        ValueError: The folder holds something else, of which nothing is removed.
    """
    from keras_frm.training.run_config import load_settings

    if not folder.is_dir():
        return
    entries = sorted(folder.iterdir())
    foreign = [entry.name for entry in entries if not _LEFT.fullmatch(entry.name)]
    known = [entry for entry in entries if not entry.name.startswith(".")]
    if foreign or (known and load_settings(folder).get("command") != "demo"):
        what = f"holds {foreign[0]}, which" if foreign else "holds a run, which"
        raise ValueError(
            f"{folder} {what} is not of a demo; name another folder with --out."
        )
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _exported(network, labels, folder, calibration, size):
    """Export the network in float32 and int8; return the files."""
    from keras_frm.export.tflite.export import export_tflite

    files = []
    for precision in ("float32", "int8"):
        files.append(folder / f"frm_{precision}.tflite")
        with progress_bar(f"exporting {precision}") as progress:
            report = export_tflite(
                network,
                files[-1],
                input_shape=size,
                precision=precision,
                representative_data=calibration.as_numpy_iterator(),
                labels=labels,
                progress=progress,
            )
        print(report)
    return files
