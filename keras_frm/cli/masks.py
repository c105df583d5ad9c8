"""`keras-frm masks`: polygons of COCO, LabelMe or CVAT as masks that `train` reads."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.data_tables import by_kind, print_table
from keras_frm.progress import progress_bar

_DEFAULT_SPLIT = "train"


class Unlabelled(str, enum.Enum):
    """What pixels without annotation are."""

    BACKGROUND = "background"
    IGNORE = "ignore"


def masks(
    annotations: Annotated[
        list[str],
        typer.Argument(
            help="COCO instances (JSON), CVAT for images 1.1 (XML), or a folder of "
            "LabelMe; one or several, as train=FILE val=FILE. Without a split: train."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the dataset: images, masks, classes.csv.")
    ],
    images: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder that the names of images are below; or SPLIT=FOLDER."
        ),
    ] = None,
    class_file: Annotated[
        Path | None,
        typer.Option(help="CSV id,name,r,g,b: the classes and ids to use."),
    ] = None,
    unlabelled: Annotated[
        Unlabelled,
        typer.Option(
            help="Pixels without annotation: a class of its own, or not trained."
        ),
    ] = Unlabelled.BACKGROUND,
) -> None:
    """Turn polygons of COCO, LabelMe or CVAT into masks that train reads.

    A pixel is in a shape if its centre is. Of shapes that overlap, the
    smaller one (COCO), the later one (LabelMe) or that of the higher z_order
    (CVAT) is on top. Images are linked, not copied. What is left out is
    named, and ends with exit code 1.
    """
    from keras_frm.data.annotations.masks import masks_from_annotations

    files: dict[str, list[Path]] = {}
    for text in annotations:
        split, path = _split_of(text)
        files.setdefault(split or _DEFAULT_SPLIT, []).append(path)
    folders = _folders(images or [], files)
    with progress_bar("filling") as progress:
        report = masks_from_annotations(
            files,
            out,
            images=folders,
            class_file=class_file,
            unlabelled=unlabelled.value,
            progress=progress,
        )
    print(f"{report.pairs} pairs are in {out}\n")
    print_table(report.table(), "id", "class", pixels=",", percent=".3f", images=",")
    for rows, severity in (
        (report.note_rows(), "note"),
        (report.problem_rows(), "problem"),
    ):
        if rows:
            kinds = by_kind(rows, severity)
            print_table(kinds, severity, files=",", first="", detail="")
    if report.problems:
        print(f"{report.problems} images or shapes were left out.")
        raise typer.Exit(1)


def _split_of(text: str) -> tuple[str | None, Path]:
    """Return split and path of SPLIT=PATH; a path may have such a name itself."""
    split, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return None, Path(text)
    return split, Path(path)


def _folders(texts: list[str], splits: dict) -> dict[str, Path]:
    """Return the folder of images of each split; one without a split is for all."""
    folders: dict[str, Path] = {}
    for split, path in map(_split_of, texts):
        for name in [split] if split else splits:
            if name in folders:
                raise ValueError(f"--images gives two folders for '{name}'; give one.")
            folders[name] = path
    return folders
