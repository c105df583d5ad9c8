"""Progress bars with the time left, for anything long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def timed_progress(*columns: TextColumn) -> Progress:
    """Return a bar on standard error with count, time spent and time left.

    Args:
        *columns: More columns, at the right.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        *columns,
        console=Console(stderr=True),
    )


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar while the block runs.

    Args:
        description: What is going on.

    Yields:
        A function to call with what is done and the total (None if unknown).
    """
    with timed_progress() as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def staged_progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a bar for each stage of a work; yields what its progress is called with.

    Yields:
        A function of the stage's name, what is done, and the total or None.
    """
    with timed_progress() as bar:
        tasks = {}

        def progress(stage, done, total):
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        yield progress
