"""The commands together, and how their errors are shown."""

import os
import sys

import typer

from keras_frm import __version__, missing_module_message
from keras_frm.cli.benchmark import benchmark
from keras_frm.cli.check_data import check_data
from keras_frm.cli.demo import demo
from keras_frm.cli.evaluate import evaluate
from keras_frm.cli.export import export
from keras_frm.cli.predict import predict
from keras_frm.cli.profile import profile
from keras_frm.cli.quantize import quantize
from keras_frm.cli.train import train
from keras_frm.cli.words import with_options

# TensorFlow's start-up notices are not for the person at the command line.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# What shells expect of a process that SIGINT ended: 128 + 2.
INTERRUPTED = 130

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
    quantize,
    export,
    benchmark,
    profile,
    check_data,
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
) -> None:
    """Light-weight semantic segmentation for edge devices."""


def run() -> int:
    """Run the command that the arguments name.

    Returns:
        The exit code: 0, 1 for an error, 130 where the user interrupted.
    """
    try:
        return app(standalone_mode=False) or 0
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        print("keras-frm: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        line = error_line(error)
        if line is None:
            raise
        print(f"keras-frm: {with_options(line)}", file=sys.stderr)
        return 1


def error_line(error: Exception) -> str | None:
    """Return the one line that says what is wrong, None for errors of our own.

    Args:
        error: What a command raised.
    """
    if hasattr(error, "format_message"):  # a wrong option or argument
        return error.format_message()
    if isinstance(error, ImportError):
        return missing_module_message(error) or str(error)
    if isinstance(error, (ValueError, OSError)):
        return str(error).strip().partition("\n")[0]
    from keras_frm.files import data_error

    found = data_error(error)
    return None if found is None else str(found)
