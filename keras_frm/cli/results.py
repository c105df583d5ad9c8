"""Where `predict` writes: names of results that never meet, and never a source's."""

import collections
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


@dataclasses.dataclass(frozen=True)
class Source:
    """One thing to segment.

    Attributes:
        read: A file, the index of a camera, or the address of a stream.
        name: Path and name of what is written of it, without ending.
    """

    read: Path | int | str
    name: Path

    @property
    def is_image(self) -> bool:
        return isinstance(self.read, Path) and not self.read.name.lower().endswith(
            VIDEOS
        )

    @property
    def is_live(self) -> bool:
        return not isinstance(self.read, Path)

    @property
    def overlay(self) -> Path:
        return _added(self.name, "_overlay.png" if self.is_image else "_overlay.mp4")

    @property
    def mask(self) -> Path:
        return _added(self.name, "_mask.png")


def check_targets(sources: Iterable[Source], masks: bool) -> None:
    """Check that no result takes the place of a source.

    Raises:
        ValueError: One does.
    """
    sources = list(sources)
    read = {_real(source.read) for source in sources if not source.is_live}
    for source in sources:
        written = [source.overlay] + [source.mask] * (masks and source.is_image)
        for target in written:
            if _real(target) in read:
                raise ValueError(
                    f"The result of {source.read} would overwrite {target}, which is "
                    "to be read, too; name another folder with --out."
                )


def is_earlier(path: Path, out: Path) -> bool:
    """Tell whether an earlier run wrote a file: by its name, and where it is."""
    if not _real(path).is_relative_to(os.path.realpath(out)):
        return False
    if path.name.endswith("_mask.png"):
        return path.with_name(
            path.name.removesuffix("_mask.png") + "_overlay.png"
        ).exists()
    return path.name.endswith(("_overlay.png", "_overlay.mp4"))


def with_names_of_their_own(sources: list[Source], out: Path) -> list[Source]:
    """Return the sources, none of whose results has the name of another's."""
    for rename in (_below_common_folder, _with_ending):
        for alike in _alike(sources):
            renamed = rename(alike, out)
            sources = [renamed.get(source, source) for source in sources]
    taken, kept = set(), []
    for source in sources:
        name, count = source.name, 1
        while source.overlay in taken:
            count += 1
            source = dataclasses.replace(source, name=_added(name, f"_{count}"))
        taken.add(source.overlay)
        kept.append(source)
    return kept


def _alike(sources) -> list[list[Source]]:
    """Return groups of sources whose results have one name; case is ignored."""
    groups = collections.defaultdict(list)
    for source in sources:
        groups[str(source.overlay).casefold()].append(source)
    return [group for group in groups.values() if len(group) > 1]


def _below_common_folder(alike, out) -> dict[Source, Source]:
    files = [source for source in alike if not source.is_live]
    folders = [os.path.abspath(source.read.parent) for source in files]
    drives = {os.path.splitdrive(folder)[0] for folder in folders}
    if len(set(folders)) < 2 or len(drives) > 1:
        return {}
    common = os.path.commonpath(folders)
    return {
        source: dataclasses.replace(
            source, name=out / os.path.relpath(folder, common) / source.read.stem
        )
        for source, folder in zip(files, folders, strict=True)
    }


def _with_ending(alike, out) -> dict[Source, Source]:
    return {
        source: dataclasses.replace(
            source, name=_added(source.name, source.read.suffix)
        )
        for source in alike
        if not source.is_live
    }


def _added(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _real(path: Path) -> Path:
    """Return a path whose folder is without links."""
    return Path(os.path.realpath(path.parent)) / path.name
