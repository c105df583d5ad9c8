"""Find the image files below a folder: through links, past what systems put there."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from keras_frm.files import DataError, is_system_path


def find_files(
    folder: str | os.PathLike, suffixes: Iterable[str], *, deep: bool = True
) -> list[Path]:
    """List a folder's files with one of the endings, hidden and system files left out.

    Links are followed, each once, and none that leads back up. A file that links to
    folders give several names is there by each: `unique_files` keeps one.

    Args:
        folder: The folder.
        suffixes: What names end with, in lower case; case is ignored.
        deep: Look into the folders below it, too.

    Returns:
        The paths, sorted. A link to a file that is gone is among them, so that reading
        it says so.

    Raises:
        DataError: A folder cannot be read, or a link to one leads nowhere.

    Example:
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "@eaDir").mkdir()
    >>> for name in ("b.PNG", "a.png", "._a.png", "@eaDir/a.png", "notes.txt"):
    ...     (folder / name).touch()
    >>> [path.name for path in find_files(folder, [".png"])]
    ['a.png', 'b.PNG']
    """
    endings = tuple(suffixes)
    return sorted(
        Path(entry.path)
        for entries in _folders(Path(folder), deep)
        for entry in entries
        if entry.name.lower().endswith(endings) and _is_file(entry)
    )


def unique_files(files: Iterable[Path]) -> list[Path]:
    """Keep the first name of each file that links to folders give several names.

    Links to files stay: where equal files are stored once, each name is one of them.

    Args:
        files: The paths.

    Returns:
        The paths that are kept, in their order.
    """
    location = locator()
    kept: dict[tuple[str, str], Path] = {}
    for path in files:
        kept.setdefault(location(path), path)
    return list(kept.values())


def locator() -> Callable[[Path], tuple[str, str]]:
    """Return a function from a path to its folder without links and its own name."""
    real_folder = functools.cache(os.path.realpath)
    return lambda path: (real_folder(path.parent), path.name)


def _folders(top: Path, deep: bool) -> Iterator[list[os.DirEntry]]:
    """Yield the entries of a folder and of those below it."""
    location = locator()
    followed = set()
    waiting = [top]
    while waiting:
        entries = _entries(waiting.pop())
        yield entries
        for entry in filter(_is_folder, entries) if deep else ():
            path = Path(entry.path)
            if entry.is_symlink():
                if location(path) in followed or _leads_up(path, top):
                    continue
                followed.add(location(path))
            waiting.append(path)


def _entries(folder: Path) -> list[os.DirEntry]:
    """Return what is in a folder and no system's, in the order of the names."""
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not is_system_path(entry.name)]
    except OSError as error:
        raise DataError(
            f"Cannot read the folder '{folder}': {error.strerror}."
        ) from error
    for entry in kept:
        # A name without an ending is a folder's, whose files would be missed silently.
        if _is_gone(entry) and not Path(entry.name).suffix:
            raise DataError(
                f"The link '{entry.path}' leads to '{os.readlink(entry.path)}', which "
                "is not there. Correct or remove the link."
            )
    return sorted(kept, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry) -> bool:
    """Tell whether an entry is a file or a link to what is no folder."""
    return not _is_folder(entry) if entry.is_symlink() else entry.is_file()


def _is_gone(entry: os.DirEntry) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _leads_up(link: Path, top: Path) -> bool:
    """Tell whether a link's folder holds the link itself or all that is searched."""
    target = os.path.realpath(link)
    return any(
        Path(os.path.realpath(folder)).is_relative_to(target)
        for folder in (link.parent, top)
    )
