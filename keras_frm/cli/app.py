"""The commands together, and how their errors are shown."""

import os
import sys
import traceback

import typer

from keras_frm import __version__, missing_module_message
from keras_frm.cli.benchmark import benchmark
from keras_frm.cli.card import card
from keras_frm.cli.check_data import check_data
from keras_frm.cli.demo import demo
from keras_frm.cli.engine import engine
from keras_frm.cli.evaluate import evaluate
from keras_frm.cli.export import export
from keras_frm.cli.masks import masks
from keras_frm.cli.predict import predict
from keras_frm.cli.profile import profile
from keras_frm.cli.quantize import quantize
from keras_frm.cli.train import train
from keras_frm.cli.web import web
from keras_frm.cli.weights import weights
from keras_frm.cli.words import with_options
from keras_frm.files import data_error

# TensorFlow's start-up notices are not for the person at the command line.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# It leaves oneDNN out where a processor has no VNNI, and trains slower for it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# What shells expect of a process that SIGINT ended: 128 + 2.
INTERRUPTED = 130

# The option and the variable that show the trace of an error.
DEBUG, DEBUG_VARIABLE = "--debug", "KERAS_FRM_DEBUG"

# Python's and TensorFlow's names for it.
_OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Light-weight semantic segmentation for edge devices.",
)
for command in (
    demo,
    train,
    evaluate,
    predict,
    web,
    quantize,
    export,
    engine,
    benchmark,
    card,
    profile,
    check_data,
    masks,
    weights,
):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show version."
    ),
    debug: bool = typer.Option(
        False, DEBUG, help=f"Show the trace of an error; or set {DEBUG_VARIABLE}=1."
    ),
) -> None:
    """Light-weight semantic segmentation for edge devices."""
    # `run` takes --debug from wherever it stands; here it is for the help.


def run() -> int:
    """Run the command that the arguments name.

    Returns:
        The exit code: 0, 1 for an error, 130 where the user interrupted.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    debug = len(arguments) < len(sys.argv) - 1
    debug = debug or os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0")
    try:
        return app(args=arguments, standalone_mode=False) or 0
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        print("keras-frm: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug and not _is_usage(error):
            traceback.print_exception(error)
        print(f"keras-frm: {with_options(error_message(error))}", file=sys.stderr)
        return 1


def error_message(error: Exception) -> str:
    """Return what is wrong, in one line; a bug of this package takes a second one.

    Args:
        error: What a command raised.

    Example:
    >>> error_message(ValueError("no class 'cat'"))
    "no class 'cat'"
    """
    if _is_usage(error):
        return error.format_message()
    if isinstance(error, ImportError):
        return missing_module_message(error) or str(error)
    if isinstance(error, (ValueError, OSError)):
        return _first_line(error)
    found = data_error(error) or _error_of_setting()
    if found is not None:
        return _first_line(found)
    kind = type(error).__name__
    if kind in _OUT_OF_MEMORY:
        return (
            f"out of memory ({kind}); smaller images, crops or batches need less "
            f"({DEBUG} shows where)"
        )
    return (
        f"{kind}: {_first_line(error)}\n"
        f"This is a bug of keras_frm: please report it with what {DEBUG} shows."
    )


def _error_of_setting():
    """Return what is wrong with how Keras is set up, which fails in any way."""
    if "keras" not in sys.modules:
        return None
    from keras_frm.backend import require_channels_last, require_tensorflow

    try:
        require_tensorflow("This command")
        require_channels_last()
    except ValueError as error:
        return error
    return None


def _is_usage(error: Exception) -> bool:
    """Return whether an option or argument is wrong, as typer says it."""
    return hasattr(error, "format_message")


def _first_line(error: Exception) -> str:
    """Return the first line of a message, and where the others are."""
    first, _, more = str(error).strip().partition("\n")
    return f"{first} (run with {DEBUG} for more)" if more else first
