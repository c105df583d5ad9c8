"""Options and progress bars that several commands share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Data = Annotated[Path | None, typer.Option(help="Folder of the dataset.")]
PresetName = Annotated[
    str,
    typer.Option(help="cityscapes, bdd100k, camvid, synthetic, or folder (your own)."),
]
Split = Annotated[str, typer.Option(help="train, val or test.")]
Size = Annotated[
    tuple[int, int] | None, typer.Option(help="Height and width, in pixels.")
]


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar with the time left while the block runs.

    Args:
        description: What is going on.

    Yields:
        A function to call with what is done and the total (None if unknown).
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
