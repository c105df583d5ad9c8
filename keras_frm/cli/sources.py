"""What `predict` is to read: from arguments to files, cameras and streams."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from keras_frm.cli.results import VIDEOS, Source, is_earlier, with_names_of_their_own
from keras_frm.cli.trained import note
from keras_frm.files import is_system_path
from keras_frm.images.finding import find_files, unique_files
from keras_frm.runtime.backends.network import MODEL_ENDINGS
from keras_frm.runtime.capture import is_stream, shown
from keras_frm.training.run_config import is_run_folder
from keras_frm.weights.shipped import default_weights, find_shipped

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
_MODELS = (*MODEL_ENDINGS, ".keras")
_STREAMS = ("rtsp", "rtsps", "rtmp", "http", "https", "udp")


def split_model(
    arguments: Sequence[str], model: str | None
) -> tuple[Path | str, tuple[str, ...]]:
    """Return the model among the arguments, and the others.

    Without a model it is the int8 file that comes with the package.

    Args:
        arguments: Of the command line. At most one is a model file or a run folder.
        model: What `--model` names, a file, a run folder or weights of the package; the
            arguments then hold no model file.

    Raises:
        FileNotFoundError: The model is not there.
        ValueError: No model or several are given, or nothing beside the model.
    """
    if model is None:
        found = [text for text in arguments if _is_model(text)]
    else:
        found = [text for text in arguments if _ends_with(text, _MODELS)]
        found.insert(0, model)
    if not found:
        return _default_model(arguments), tuple(arguments)
    if len(found) > 1:
        raise ValueError(
            f"{len(found)} models are given: {', '.join(found)}. Name one; with "
            "--model, run folders are taken as folders of images."
        )
    shipped = find_shipped(model)
    if shipped is None and not os.path.exists(found[0]):
        raise FileNotFoundError(f"There is no model file '{found[0]}'.")
    rest = tuple(text for text in arguments if model is not None or text != found[0])
    if not rest:
        raise ValueError(
            f"Nothing to segment is given beside the model {found[0]}: name images, "
            "folders, videos, camera, or the address of a stream."
        )
    return model if shipped else Path(found[0]), rest


def find_sources(arguments: Iterable[str], out: Path) -> list[Source]:
    """Return what the arguments name, each once: images, videos, cameras.

    Names of results are those of the files, below a folder with their path in it. Where
    two would be equal, they get the path below the folder that both are in, then the
    ending, then a number. Results of an earlier run are left out.

    Args:
        arguments: Files, folders, patterns, `camera`, `camera:1`, `1`, addresses.
        out: Folder of the results.

    Raises:
        FileNotFoundError: A source is not there, or holds nothing to segment.
        ValueError: A camera or an address is none.
    """
    live, files, missing = {}, {}, []
    for text in arguments:
        camera = _camera_index(text)
        if camera is not None:
            live[camera] = f"camera_{camera}"
        elif is_stream(text):
            live[text] = _stream_name(text)
        elif (found := _files(text)) is not None:
            files = found | files
        else:
            missing.append(shown(text))
    if missing:
        raise FileNotFoundError(
            f"There is no image, folder or video at {', '.join(missing)}."
        )
    earlier = {path for path in files if is_earlier(path, out)}
    if earlier:
        note(f"{len(earlier)} results of an earlier run in {out} are not read")
    kept = unique_files(sorted(files.keys() - earlier))
    sources = [Source(path, out / files[path]) for path in kept]
    sources += [Source(read, out / name) for read, name in live.items()]
    if not sources:
        raise FileNotFoundError(f"There are only results of an earlier run in {out}.")
    sources.sort(key=lambda source: (not source.is_image, source.is_live))
    return with_names_of_their_own(sources, out)


def _default_model(arguments):
    """Return the name of the weights that stand for a model that is not given."""
    shipped = default_weights()
    is_gone = any(map(_is_gone, arguments))
    if shipped is None or is_gone or not arguments:
        told = [text for text in map(_is_no_model, arguments) if text]
        reason = f"; {told[0]}" if told else ""
        raise ValueError(
            "No model is given: name a run folder, a .keras, .tflite or .onnx file, or "
            f"pass --model{reason}."
        )
    note(f"no model is named, so the weights {shipped.name} of the package are taken")
    return shipped.name


def _is_model(text):
    return _ends_with(text, _MODELS) or (os.path.isdir(text) and is_run_folder(text))


def _is_no_model(text):
    """Say why an argument that may be meant as one is no model; None for others."""
    if os.path.isdir(text):
        return f"{text} is no run folder"
    return f"there is nothing at {shown(text)}" if _is_gone(text) else None


def _is_gone(text):
    """Return whether an argument can only be a path, and nothing is there."""
    is_source = is_stream(text) or glob.has_magic(text) or text.startswith("camera")
    return not (is_source or text.isdecimal() or os.path.exists(text))


def _camera_index(text: str) -> int | None:
    """Return the index that `camera`, `camera:1` or `1` names, None for others."""
    name, colon, index = text.partition(":")
    if os.path.exists(text) or not (name == "camera" or text.isdecimal()):
        return None
    index = index if name == "camera" else text
    if (index or colon) and not (
        index.isascii() and index.isdecimal() and len(index) < 4
    ):
        raise ValueError(f"'{text}' names no camera; write camera or camera:1.")
    return int(index or 0)


def _stream_name(address):
    """Return a file's name for an address, without what is secret in it."""
    scheme, _, rest = shown(address).partition("://")
    if scheme.lower() not in _STREAMS:
        raise ValueError(
            f"{shown(address)} is no stream that can be read; addresses begin with "
            f"{', '.join(_STREAMS)}."
        )
    return re.sub(r"[^\w.-]+", "_", rest).strip("._")[-100:] or "stream"


def _files(text: str) -> dict[Path, Path] | None:
    """Return the files an argument names, with the names of their results.

    None where there is nothing of that name.
    """
    path = Path(text)
    if os.path.isdir(path):
        return _files_below(path)
    if os.path.exists(path):
        return {path: Path(path.stem)}
    return _matches(text) if glob.has_magic(text) else None


def _files_below(folder):
    known = _IMAGES + VIDEOS
    found = find_files(folder, known)
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no image and no video; known endings are "
            f"{', '.join(known)}."
        )
    return {path: path.relative_to(folder).with_suffix("") for path in found}


def _matches(pattern):
    """Return the files a pattern names that no shell took."""
    fixed = [glob.has_magic(part) for part in Path(pattern).parts].index(True)
    found = {}
    for path in map(Path, sorted(glob.glob(pattern, recursive=True))):
        if is_system_path(Path(*path.parts[fixed:])):
            continue
        if path.is_dir():
            inside = find_files(path, _IMAGES + VIDEOS, deep="**" not in pattern)
            found |= {p: p.relative_to(path).with_suffix("") for p in inside}
        elif _ends_with(path, _IMAGES + VIDEOS):
            found.setdefault(path, Path(path.stem))
    if not found:
        raise FileNotFoundError(f"No image and no video matches '{pattern}'.")
    return found


def _ends_with(path, endings) -> bool:
    return str(path).lower().endswith(endings)
