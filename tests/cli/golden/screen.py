"""A terminal inside this process: what `tracker …` prints on one, and into a pipe."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from tests.cli.golden.story import NOW, ZONE


class _Screen(io.TextIOWrapper):
    """A stream that says it is a terminal, or a pipe."""

    def __init__(self, *, is_terminal: bool, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        self.flush()
        data = self.buffer.getvalue()  # type: ignore[attr-defined]
        return str(data.decode("utf-8"))


@dataclass(frozen=True)
class Shown:
    """What a command printed: on standard output, on standard error, and its exit code."""

    out: str
    err: str
    code: int


@contextmanager
def frozen() -> Iterator[None]:
    """Stop the clock at `NOW`, in the time zone `ZONE`."""
    with (
        mock.patch.dict(os.environ, {"TZ": ZONE}),
        mock.patch("time.time", lambda: NOW / 1e6),
        mock.patch("time.time_ns", lambda: NOW * 1000),
    ):
        time.tzset()
        try:
            yield
        finally:
            del os.environ["TZ"]
            time.tzset()


def show(
    words: list[str], *, width: int | None, encoding: str = "utf-8", **environment: str
) -> Shown:
    """Run ``tracker`` with these words on a terminal that is so wide, in cells; None: into a pipe."""
    from tracker.cli import main

    settings = {"COLUMNS": str(width or 80), "LINES": "50", "TERM": "xterm-256color", **environment}
    streams = [_Screen(is_terminal=width is not None, encoding=encoding) for _ in range(2)]
    code = 0
    with (
        mock.patch.dict(os.environ, settings),
        mock.patch.multiple(sys, stdout=streams[0], stderr=streams[1]),
    ):
        for name in {"NO_COLOR", "LC_ALL", "FORCE_COLOR", "COLORTERM"} - environment.keys():
            os.environ.pop(name, None)
        with frozen():
            try:
                main(words)
            except SystemExit as done:
                code = int(done.code or 0)
    return Shown(streams[0].text(), streams[1].text(), code)
