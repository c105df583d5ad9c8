"""`keras-frm demo`: the whole way on synthetic scenes, with no data at hand."""

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


def demo(
    out: Annotated[Path, typer.Option(help="Run folder to make.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    scenes: Annotated[int, typer.Option(help="Training scenes.", min=8)] = 160,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train a small network on synthetic street scenes, export it, score the files."""
    import dataclasses

    import keras

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
    train_data = load_dataset(
        "synthetic",
        batch_size=chosen.batch_size,
        crop=size,
        resize=size,
        scale_range=chosen.scale_range,
        count=scenes,
        seed=seed,
    )
    validation_data = load_dataset(
        "synthetic", split="val", batch_size=1, resize=size, count=max(8, scenes // 8)
    )
    backbone = VAN(**_BACKBONE, drop_path_rate=0.0, name="backbone")
    model = build_model(chosen, backbone=backbone, decoder_width=32)
    model.compile()
    settings = {"scenes": scenes, "epochs": epochs, "seed": seed}
    config = {"command": "demo", **settings, "backbone": _BACKBONE}
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
