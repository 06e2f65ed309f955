"""A progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[..., object]
"""Advances the bar; takes by how much, 1 by default."""


@contextmanager
def progress(label: str, *, shown: bool = True) -> Iterator[Callable[[int], Step]]:
    """Yield a function that takes a total and returns a `Step`.

    The bar is drawn on stderr where that is a terminal, unless ``shown`` is false.
    """
    if not shown or not sys.stderr.isatty():
        yield lambda total: lambda done=1: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:

        def track(total: int) -> Step:
            task = bar.add_task(label, total=total)
            return lambda done=1: bar.advance(task, done)

        yield track
