"""A progress bar for a terminal; elsewhere, nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any, TextIO, TypeVar, cast

from tracker_torch.loop.terminal import Terminal

T = TypeVar("T")
_EVERY = 0.1  # seconds between two drawings


class Progress:
    """Draws a bar for each epoch and leaves a line with its metrics.

    Args:
        shown: True, False, or None: on a terminal only. rich is imported when it is needed.
        epochs: how many there are.
    """

    def __init__(self, shown: bool | None, epochs: int) -> None:
        self.shown = Terminal(sys.stderr).isatty() if shown is None else shown
        self.epochs = epochs

    def over(self, batches: Iterator[T], total: int | None, epoch: int) -> Iterator[T]:
        """Return ``batches`` below a bar; ``total`` None: of unknown length."""
        return self._drawn(batches, total, epoch) if self.shown else batches

    def _drawn(self, batches: Iterator[T], total: int | None, epoch: int) -> Iterator[T]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        console = Console(file=cast("TextIO", Terminal(sys.stderr)))
        with Progress(*columns, *times, console=console, transient=True) as bar:
            task = bar.add_task(self._title(epoch), total=total)
            drawn = monotonic()
            for done, batch in enumerate(batches):
                if (now := monotonic()) - drawn > _EVERY:
                    drawn = now
                    bar.update(task, completed=done)
                yield batch

    def report(self, epoch: int, metrics: Mapping[str, Any], seconds: float) -> None:
        """Print an epoch's metrics."""
        if self.shown:
            values = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            line = f"{self._title(epoch)}  {seconds:.1f} s  {values}"
            print(line, file=Terminal(sys.stderr))

    def _title(self, epoch: int) -> str:
        return f"Epoch {epoch + 1}/{self.epochs}"


def length(loader: Any) -> int | None:
    """Return how many batches there are, or None where the loader cannot know."""
    try:
        return len(loader)
    # It has no __len__, or one that refuses.
    except (TypeError, NotImplementedError):
        return None
