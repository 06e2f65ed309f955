"""A bar that says how far it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[..., object]
"""Takes how much more is done, 1 without."""


@contextmanager
def progress(what: str, *, shown: bool = True) -> Iterator[Callable[[int], Step]]:
    """Give a function that takes a total and returns a `Step`; drawn where ``shown`` and somebody looks."""
    if not shown or not sys.stderr.isatty():
        yield lambda total: lambda done=1: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:

        def track(total: int) -> Step:
            task = bar.add_task(what, total=total)
            return lambda done=1: bar.advance(task, done)

        yield track
