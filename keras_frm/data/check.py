"""Look at every file of a dataset before training: what is wrong, what it holds."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_frm.data.findings import (
    NOTE,
    PROBLEM,
    Finding,
    class_findings,
    pair_findings,
)
from keras_frm.data.listing import Listing, Pair
from keras_frm.data.reading import (
    AmbiguousMaskError,
    SizeMismatchError,
    UnknownIdsError,
)
from keras_frm.data.repeats import repeat_findings
from keras_frm.data.sources import find_pairs
from keras_frm.files import DataWarning, collected_warnings
from keras_frm.labels import ONE_CLASS, LabelSet


@dataclass(frozen=True)
class DataReport:
    """What `check_data` found.

    Args:
        labels: The classes.
        pairs: Number of pairs.
        unpaired_images: Images without a mask.
        unpaired_labels: Masks without an image.
        skipped: Files the reader leaves out on purpose, with the reason; no problem.
        unreadable: Files that cannot be read, with the error's line.
        size_mismatches: Images whose mask has another size, with the error's line.
        unknown_ids: Masks with ids or colours outside the table, with these.
        ambiguous: Masks that can be read in two ways, with the error's line.
        warnings: What was assumed of files that were read, with a line; no problem.
        class_pixels: Pixels of each class, and last the ignored ones, in sound pairs.
        class_images: Images each class occurs in, and last those with ignored pixels.
        image_sizes: (height, width) -> number of sound pairs.
        findings: What else there is to know, each with its severity.
        listing: All files, to read them again.
        sound_pairs: The pairs that can be read.

    Example:
    >>> from keras_frm.labels import LabelSet
    >>> labels = LabelSet("two", ("road", "car"), ((128, 64, 128), (0, 0, 142)))
    >>> report = DataReport(labels, 2, class_pixels=(3, 1, 0), class_images=(1, 1, 0))
    >>> report.problems, report.table()[0]
    (0, {'id': 0, 'class': 'road', 'pixels': 3, 'percent': 75.0, 'images': 1})
    """

    labels: LabelSet
    pairs: int
    unpaired_images: tuple[Path, ...] = ()
    unpaired_labels: tuple[Path, ...] = ()
    skipped: tuple[tuple[Path, str], ...] = ()
    unreadable: tuple[tuple[Path, str], ...] = ()
    size_mismatches: tuple[tuple[Path, str], ...] = ()
    unknown_ids: tuple[tuple[Path, tuple], ...] = ()
    ambiguous: tuple[tuple[Path, str], ...] = ()
    warnings: tuple[tuple[Path, str], ...] = ()
    class_pixels: tuple[int, ...] = ()
    class_images: tuple[int, ...] = ()
    image_sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    findings: tuple[Finding, ...] = ()
    listing: Listing | None = None
    sound_pairs: tuple[Pair, ...] = ()

    @property
    def problems(self) -> int:
        """Number of files and classes that need a correction before training."""
        return len(self.problem_rows())

    def table(self) -> list[dict[str, object]]:
        """Return a row for each class and one for the ignored pixels."""
        total = max(sum(self.class_pixels), 1)
        names = (*self.labels.classes, "(ignored)")
        ids = (*range(self.labels.num_classes), self.labels.ignore_label)
        return [
            {
                "id": train_id,
                "class": name,
                "pixels": pixels,
                "percent": 100 * pixels / total,
                "images": images,
            }
            for train_id, name, pixels, images in zip(
                ids, names, self.class_pixels, self.class_images, strict=True
            )
        ]

    def warning_rows(self) -> list[dict[str, object]]:
        """Return a row for each kind of warning: its line, the files, the first."""
        files: dict[str, list[Path]] = {}
        for path, line in self.warnings:
            files.setdefault(line, []).append(path)
        return [
            {"warning": line, "files": len(paths), "first": str(paths[0])}
            for line, paths in files.items()
        ]

    def all_findings(self) -> list[Finding]:
        """Return everything that was found, the problems first."""
        found = [
            *(
                Finding(PROBLEM, "image without mask", str(path), "")
                for path in self.unpaired_images
            ),
            *(
                Finding(PROBLEM, "mask without image", str(path), "")
                for path in self.unpaired_labels
            ),
            *(
                Finding(PROBLEM, "unreadable", str(path), line)
                for path, line in self.unreadable
            ),
            *(
                Finding(PROBLEM, "size mismatch", str(path), line)
                for path, line in self.size_mismatches
            ),
            *(
                Finding(PROBLEM, "unknown ids", str(path), ", ".join(map(str, values)))
                for path, values in self.unknown_ids
            ),
            *(
                Finding(PROBLEM, "ambiguous mask", str(path), line)
                for path, line in self.ambiguous
            ),
            *(
                [Finding(PROBLEM, "one class", "", ONE_CLASS)]
                if self.labels.num_classes == 1
                else []
            ),
            *self.findings,
            *(Finding(NOTE, "left out", str(path), why) for path, why in self.skipped),
        ]
        return sorted(found, key=lambda finding: finding.severity != PROBLEM)

    def problem_rows(self) -> list[dict[str, str]]:
        """Return a row for each problem: what it is, the file and the detail."""
        return self._rows(PROBLEM)

    def note_rows(self) -> list[dict[str, str]]:
        """Return a row for each note, what may be meant: the same columns."""
        return self._rows(NOTE)

    def _rows(self, severity: str) -> list[dict[str, str]]:
        return [
            {severity: found.kind, "file": found.file, "detail": found.detail}
            for found in self.all_findings()
            if found.severity == severity
        ]


def check_data(
    name: str,
    root: str | Path | None,
    split: str | None,
    *,
    progress: Callable[[int, int], None] | None = None,
    labels: LabelSet | None = None,
    val_share: float | None = None,
) -> DataReport:
    """Read every file of a dataset and report what is wrong and what it holds.

    A problem is what training must not have: a file that cannot be read or has no
    partner, ids outside the table, a size that differs from the mask's, an EXIF
    orientation that may have turned a mask, an image that another split repeats, and,
    where a folder of one's own is trained on, a class without pixels. A note is what
    may be meant: other orientations and repeats, masks of one value, images of 16 bits,
    and, elsewhere, classes without pixels.

    Args:
        name: "cityscapes", "bdd100k", "camvid" or "folder".
        root: The dataset's folder.
        split: "train", "val" or "test"; for "folder" also None or "all".
        progress: Called with the number of pairs read and the number of all pairs.
        labels: Classes merged from the dataset's own, see `keras_frm.merge_classes`.
        val_share: As for `load_dataset`.

    Returns:
        The report. A bad file stands in it and raises nothing.

    Raises:
        ValueError: There is no such dataset, or no root is given.
        DataError: The folders are not where they should be.

    Example:
    >>> check_data("kitti", "data", "train")
    Traceback (most recent call last):
    ValueError: Unknown dataset 'kitti'. Choose one of: ...
    """
    listing = find_pairs(name, root, split, labels=labels, val_share=val_share)
    unreadable, mismatches, unknown_ids, ambiguous = [], [], [], []
    warnings: list[DataWarning] = []
    pixels = np.zeros(listing.labels.num_classes + 1, np.int64)
    images = np.zeros(listing.labels.num_classes + 1, np.int64)
    sizes: Counter[tuple[int, int]] = Counter()
    findings: list[Finding] = []
    sound = []

    def read(pair: Pair) -> tuple | Exception:
        try:
            with collected_warnings() as warned:
                image, label = listing.read(pair)
            found = pair_findings(pair, image, label, listing.labels)
            return label.shape, _count_classes(label, listing.labels), warned, found
        except Exception as error:  # one bad file must not end the check of the others
            return error

    # Decoding releases Python's lock, so threads read in parallel.
    with ThreadPoolExecutor() as pool:
        for done, (pair, result) in enumerate(
            zip(listing.pairs, pool.map(read, listing.pairs), strict=True), start=1
        ):
            if isinstance(result, UnknownIdsError):
                unknown_ids.append((pair.label, result.values))
            elif isinstance(result, SizeMismatchError):
                mismatches.append((pair.image, str(result)))
            elif isinstance(result, AmbiguousMaskError):
                ambiguous.append((pair.label, str(result)))
            elif isinstance(result, Exception):
                path = getattr(result, "path", None) or pair.image
                unreadable.append((Path(path), " ".join(str(result).split())))
            else:
                size, counts, warned, found = result
                warnings += warned
                findings += found
                sound.append(pair)
                sizes[size] += 1
                pixels += counts
                images += counts > 0
            if progress:
                progress(done, len(listing.pairs))

    own_classes = name == "folder" and split not in ("val", "test")
    findings += class_findings(listing, pixels, own_classes)
    findings += repeat_findings(
        listing, lambda other: find_pairs(name, root, other, val_share=val_share)
    )
    return DataReport(
        labels=listing.labels,
        pairs=len(listing.pairs),
        unpaired_images=listing.unpaired_images,
        unpaired_labels=listing.unpaired_labels,
        skipped=listing.skipped,
        unreadable=tuple(unreadable),
        size_mismatches=tuple(mismatches),
        unknown_ids=tuple(unknown_ids),
        ambiguous=tuple(ambiguous),
        warnings=tuple((Path(warning.path), str(warning)) for warning in warnings),
        class_pixels=tuple(pixels.tolist()),
        class_images=tuple(images.tolist()),
        image_sizes=tuple(sizes.most_common()),
        findings=tuple(findings),
        listing=listing,
        sound_pairs=tuple(sound),
    )


def _count_classes(label: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Count a label's pixels by class, the ignored ones last: (num_classes + 1,)."""
    counts = np.bincount(label.ravel(), minlength=256)  # (256,)
    return np.append(counts[: labels.num_classes], counts[labels.ignore_label])
