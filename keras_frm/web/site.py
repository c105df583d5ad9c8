"""The files of the page: those of the package, a model, and what is said of it."""

import json
import os
from pathlib import Path

from keras_frm.errors import ArgumentError
from keras_frm.files import read_bytes, write_bytes
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.tflite import metadata_zip
from keras_frm.runtime.tflite.check import check_tflite

PAGE = Path(__file__).with_name("page")
START = "index.html"
_ABOUT = "site.json"

# With the first two a browser gives threads; both must come with every file.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
        "connect-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
        "base-uri 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Some hosts read a file of this name for the headers they send.
_HEADERS_FILE = "_headers"

_DTYPES = ("float32", "uint8")  # what JavaScript can hand over


def site_files(model: str | os.PathLike, notice: str = "") -> dict[str, bytes]:
    """Return the files of the page with a model.

    Args:
        model: A .tflite file of this package that gives masks.
        notice: What the page says of the model, such as its licence.

    Returns:
        Content by address: "index.html", "page.js", "litert/litert.js" and so on.

    Raises:
        DataError: There is no such file.
        ModelFileError: The page cannot run it.

    Example:
    >>> from keras_frm.weights.shipped import default_weights
    >>> model = default_weights().device_file()
    >>> files = site_files(model)
    >>> "index.html" in files, model.name in files
    (True, True)
    """
    model = Path(model)
    content = read_bytes(model)
    try:
        _check(content)
    except ModelFileError as error:
        raise ModelFileError(f"The page cannot run '{model}': {error}.") from error
    about = {"model": model.name, "notice": notice}
    headers = "".join(f"  {name}: {value}\n" for name, value in HEADERS.items())
    page = (path for path in PAGE.rglob("*") if path.is_file())
    return {
        **{path.relative_to(PAGE).as_posix(): path.read_bytes() for path in page},
        _ABOUT: json.dumps(about).encode(),
        _HEADERS_FILE: f"/*\n{headers}".encode(),
        model.name: content,
    }


def write_site(files: dict[str, bytes], folder: str | os.PathLike) -> None:
    """Write the files of the page into a folder, for any host of files.

    Args:
        files: What `site_files` gives.
        folder: Made if missing. In one that holds the page its files are replaced.

    Raises:
        ArgumentError: The folder holds something else.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / _ABOUT).exists() and any(folder.iterdir()):
        raise ArgumentError(f"{folder} holds other files", "folder", "name another")
    for address, content in files.items():
        write_bytes(folder / address, content)


def _check(content: bytes) -> None:
    """Refuse what the page would refuse, before anything is served."""
    check_tflite(content)
    metadata = metadata_zip.read(content)
    if metadata is None:
        raise ModelFileError("it names no classes, so keras_frm did not export it")
    if metadata.output != "mask":
        raise ModelFileError(
            f"it gives {metadata.output}; export one with output='mask'"
        )
    if metadata.input_dtype not in _DTYPES:
        raise ModelFileError(f"it takes {metadata.input_dtype}, not uint8 or float32")
