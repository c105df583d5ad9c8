"""`keras-frm web`: a page that runs an exported file in the browser."""

import contextlib
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.trained import note, remedies
from keras_frm.web.server import PageServer
from keras_frm.web.site import START, site_files, write_site
from keras_frm.weights.shipped import default_weights, find_shipped


def web(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A .tflite file that gives masks, or weights of the package "
            "(keras-frm weights), as where none is named.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the page to, for a host; nothing is served."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for a free one.")
    ] = 8000,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Serve a page that segments images and the camera in the browser, until Ctrl-C.

    Nothing leaves the browser. The page can be put on any host of files (--out).
    """
    files = _files(model)
    if out is not None:
        with remedies(folder="name another with --out"):
            write_site(files, out)
        print(f"The page is {out / START}; a host or a server must give it.")
        return
    with remedies(port="pass another --port"), PageServer(files, port) as server:
        print(f"The page is at {server.address} (Ctrl-C ends)", flush=True)
        if open_page:
            webbrowser.open(server.address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _files(model):
    """Return the files of the page, with a model file or weights of the package."""
    shipped = default_weights() if model is None else find_shipped(model)
    if shipped is not None:
        notice = f"Weights '{shipped.name}': {shipped.licence}"
        note(notice)
        return site_files(shipped.device_file(), notice)
    if model is None:
        raise FileNotFoundError(
            "No weights come with this version of keras_frm: name a .tflite file."
        )
    return site_files(model)
