"""From annotations to a folder of images and masks that training reads."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_frm.data.annotations.annotated import Annotations
from keras_frm.data.annotations.classes import (
    BACKGROUND,
    IGNORE,
    ClassIds,
    classes_of_file,
    numbered_classes,
)
from keras_frm.data.annotations.pairs import (
    AnnotatedPair,
    link_image,
    obstacle,
    pairs_of,
)
from keras_frm.data.annotations.reading import read_annotations
from keras_frm.data.check import DataReport
from keras_frm.data.class_file import class_file_text
from keras_frm.data.findings import NOTE, PROBLEM, Finding
from keras_frm.data.folder import CLASS_FILE
from keras_frm.data.stored_mask import read_stored_mask
from keras_frm.files import DataError, write_bytes, write_png
from keras_frm.images.reading import image_size
from keras_frm.labels import IGNORE_LABEL

_SPLIT = re.compile(r"\w[\w.-]*")

Paths = str | Path | Sequence[str | Path]


def masks_from_annotations(
    annotations: Mapping[str, Paths],
    out: str | Path,
    *,
    images: str | Path | Mapping[str, str | Path] | None = None,
    class_file: str | Path | None = None,
    unlabelled: str = BACKGROUND,
    progress: Callable[[int, int], None] | None = None,
) -> DataReport:
    """Fill polygons into id masks, as a folder that `load_dataset("folder")` reads.

    Reads COCO instances (polygons and runs), LabelMe and CVAT for images 1.1; the
    content of a file tells which. A mask is a PNG of 8 bits below `masks/SPLIT`, and
    its image is linked below `images/SPLIT`, by the same path. A pixel belongs to a
    shape where its centre does. Where shapes overlap, the last one counts: the smaller
    area in COCO, the later one in LabelMe, the higher `z_order` in CVAT.

    Classes are numbered in the order of the ids of COCO's categories, of CVAT's labels,
    of LabelMe's alphabet; those of all files get one table, `classes.csv`. Where the
    folder has one already, it is taken, so that a later split gets the same ids.

    Everything is read before anything is written. An image that cannot become a pair,
    and a shape that cannot be filled, is left out and stands in the report. A mask that
    is there already is never changed.

    Args:
        annotations: Split, such as "train" -> its annotation files (for LabelMe also
            folders), one or several.
        out: Folder of the dataset.
        images: Folder that the names of images are below, for all splits or for each.
            By default they are searched where LabelMe says, beside the annotations, in
            `images` there, and in `out`.
        class_file: Classes and ids to use, as for `load_dataset("folder")`. A name that
            is not in it is refused.
        unlabelled: What pixels without annotation are: "background", a class of its
            own, or "ignore", not trained on.
        progress: Called with the number of images done and of all.

    Returns:
        The report: `table()` has the share of each class, `problem_rows()` what was
        left out, `note_rows()` what may be meant, such as shapes without area.

    Raises:
        ValueError: A split's name is no folder's name or has images alone, or
            `unlabelled` is unknown.
        DataError: An annotation file is of no known format, or not as its format says;
            names of classes are unknown, or alike, or too many; or no image was found.

    Example:
    >>> masks_from_annotations({"train": "/nowhere.json"}, "street")
    Traceback (most recent call last):
    keras_frm.files.DataError: There is no file '/nowhere.json'. Check the path.
    """
    if unlabelled not in (BACKGROUND, IGNORE):
        raise ValueError(
            f"unlabelled must be '{BACKGROUND}' or '{IGNORE}', not '{unlabelled}'."
        )
    if isinstance(images, Mapping) and images.keys() - annotations.keys():
        raise ValueError(
            f"There are images for {', '.join(map(repr, images))} and annotations for "
            f"{', '.join(map(repr, annotations))} only. Name the same splits."
        )
    root = Path(out).expanduser()
    read = {
        _checked_split(split): [read_annotations(path) for path in _listed(paths)]
        for split, paths in annotations.items()
    }
    parts = [part for of_split in read.values() for part in of_split]
    classes = _classes(parts, root, class_file, unlabelled)
    pairs = [
        pair
        for split, of_split in read.items()
        for pair in pairs_of(of_split, root, split, _folder(images, split))
    ]
    _require_images(pairs)
    tally = _Tally(classes)
    for done, pair in enumerate(pairs, start=1):
        tally.findings += _write_pair(pair, classes, tally)
        if progress:
            progress(done, len(pairs))
    if tally.pairs and not (root / CLASS_FILE).exists():
        write_bytes(root / CLASS_FILE, class_file_text(classes.labels).encode())
    findings = [finding for part in parts for finding in part.findings]
    return tally.report([*findings, *tally.findings])


class _Tally:
    """What was written so far, by class."""

    def __init__(self, classes: ClassIds):
        self.labels = classes.labels
        self.pairs = 0
        self.findings: list[Finding] = []
        self._stored = [*(classes.ids[n] for n in classes.labels.classes), IGNORE_LABEL]
        self._pixels = np.zeros(len(self._stored), np.int64)
        self._images = np.zeros(len(self._stored), np.int64)

    def add(self, mask: np.ndarray):
        counts = np.bincount(mask.ravel(), minlength=256)[self._stored]
        self.pairs += 1
        self._pixels += counts
        self._images += counts > 0

    def report(self, findings: Iterable[Finding]) -> DataReport:
        unused = [
            Finding(NOTE, "class without pixels", "", f"'{name}'")
            for name, count in zip(self.labels.classes, self._images, strict=False)
            if not count and self.pairs
        ]
        return DataReport(
            labels=self.labels,
            pairs=self.pairs,
            class_pixels=tuple(self._pixels.tolist()),
            class_images=tuple(self._images.tolist()),
            findings=(*findings, *unused),
        )


def _write_pair(pair: AnnotatedPair, classes: ClassIds, tally: _Tally) -> list[Finding]:
    """Write a mask and link its image; returns what is to be said about them."""
    name = pair.annotated.name
    try:
        reason = obstacle(pair)
        if reason is not None:
            kind, detail = reason
            return [Finding(PROBLEM, kind, name, detail)]
        size = image_size(pair.source)
    except DataError as error:
        return [Finding(PROBLEM, "unreadable", name, str(error))]
    mask = np.full(size, classes.unlabelled, np.uint8)
    shapes = pair.annotated.shapes
    empty = [s.label for s in shapes if not s.fill(mask, classes.id_of(s.label))]
    if pair.mask.exists():
        if not _holds(pair.mask, mask):
            detail = f"'{pair.mask}' is there and differs. Remove it to have it anew."
            return [Finding(PROBLEM, "another mask of this name", name, detail)]
    else:
        write_png(pair.mask, mask)
    link_image(pair)
    tally.add(mask)
    found = [Finding(NOTE, "shape without a pixel", name, f"'{lb}'") for lb in empty]
    if not shapes:
        fill = "not trained" if classes.unlabelled == IGNORE_LABEL else BACKGROUND
        found.append(Finding(NOTE, "image without shapes", name, f"It is all {fill}."))
    return found


def _holds(path: Path, mask: np.ndarray) -> bool:
    try:
        return np.array_equal(read_stored_mask(path).values, mask)
    except DataError:
        return False


def _classes(
    parts: Sequence[Annotations],
    root: Path,
    class_file: str | Path | None,
    unlabelled: str,
) -> ClassIds:
    """Return the classes of a class file, of the dataset's own, or of annotations."""
    kept = root / CLASS_FILE
    if class_file is None and not kept.exists():
        names = [name for part in parts for name in part.classes]
        return numbered_classes(names, unlabelled)
    path = class_file or kept
    used = {
        shape.label for part in parts for image in part.images for shape in image.shapes
    }
    classes = classes_of_file(path, sorted(used), unlabelled)
    if kept.exists() and classes.ids != classes_of_file(kept, [], IGNORE).ids:
        raise DataError(
            f"'{kept}' and '{path}' give other classes or ids, and the masks of a "
            "folder have one table. Name another folder, or leave the class file out."
        )
    return classes


def _require_images(pairs: Sequence[AnnotatedPair]) -> None:
    if not pairs:
        raise DataError("The annotations name no image.")
    if not any(pair.source for pair in pairs):
        raise DataError(
            f"None of the {len(pairs)} images was found, as "
            f"'{pairs[0].annotated.name}'. Give the folder of images, which their "
            "names are below."
        )


def _checked_split(split: str) -> str:
    if not _SPLIT.fullmatch(split):
        raise ValueError(f"'{split}' is no name of a split, such as train or val.")
    return split


def _listed(paths: Paths) -> Sequence[str | Path]:
    return [paths] if isinstance(paths, (str, Path)) else paths


def _folder(images, split: str) -> Path | None:
    folder = images.get(split) if isinstance(images, Mapping) else images
    if folder is None:
        return None
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"There is no folder of images '{folder}'. Check the path.")
    return folder
