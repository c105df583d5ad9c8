"""Options of a training that goes on: those it was started with."""

from pathlib import Path

import typer

# They say where, whether and for how long to go on, not how to train.
_NOT_KEPT = ("out", "resume", "more_epochs")


def options_of_run(context: typer.Context, out: Path) -> Path:
    """Let a run folder's options stand for those that are not given.

    A callback of `--out`, which must be eager, so that the options after it are taken
    and checked as if they had been given.

    Args:
        context: Context of the command; its defaults are changed.
        out: The run folder.

    Returns:
        The run folder.
    """
    if (out / "config.json").is_file():
        from keras_frm.training.run_folder import can_resume, load_settings

        if can_resume(out):
            options = load_settings(out).get("options", {})
            context.default_map = options if isinstance(options, dict) else {}
    return out


def was_given(context: typer.Context, name: str) -> bool:
    """Return whether an option stands on the command line; a run's own does not."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def to_store(options: dict) -> dict:
    """Return options as JSON can hold them, to be given again from any folder.

    Example:
    >>> to_store({"out": Path("runs/a"), "epochs": 3, "crop": (32, 48), "data": None})
    {'epochs': 3, 'crop': (32, 48)}
    """
    return {
        name: str(value.absolute()) if isinstance(value, Path) else value
        for name, value in options.items()
        if value is not None and name not in _NOT_KEPT
    }
