"""What is printed: folded to the width of a terminal, in the letters that it can show."""

from __future__ import annotations

import codecs
import io
import os
import shutil
import sys
from collections.abc import Iterator
from typing import IO, cast

import click

from tracker.cli.format import visible
from tracker.cli.measure import fold
from tracker.errors import BadValue

_PLAIN = {
    "…": "~", "→": "->", "±": "+-", "°": "", "—": "-", "–": "-", "×": "x", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
"""What our own signs are written as where only ASCII can be shown."""


def on_terminal(*, err: bool = False) -> bool:
    """Return whether a person reads the output; ``err``: what is on standard error."""
    return (sys.stderr if err else sys.stdout).isatty()


def is_coloured() -> bool:
    """Return whether the output has colours: on a terminal, unless NO_COLOR is set."""
    return on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """Return how many cells a line of the terminal has."""
    return shutil.get_terminal_size().columns


def shows_unicode() -> bool:
    """Return whether any letter can be shown: not in the locale C, nor in an encoding of few letters."""
    return _encoding() is None


def _encoding() -> str | None:
    """Return the encoding that text must fit into; None where everything does."""
    if os.environ.get("LC_ALL") in {"C", "POSIX"}:
        # Python writes UTF-8 all the same; the terminal shows it as something else.
        return "ascii"
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return None if codecs.lookup(encoding).name.startswith("utf") else str(encoding)


def showable(text: str) -> str:
    r"""Return text as it can be shown here: an ornament in ASCII, another letter as ``\u8bad``."""
    if text.isascii():
        return text
    encoding = _encoding()
    if encoding is None:
        return text
    return text.encode(encoding, "tracker.showable").decode(encoding)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    letter = error.object[error.start]
    return _PLAIN.get(letter) or letter.encode(
        "ascii", "backslashreplace"
    ).decode(), error.start + 1


codecs.register_error("tracker.showable", _replaced)


def say(
    text: str = "", *, err: bool = False, whole: bool = False, bold: bool = False, indent: int = 0
) -> None:
    """Print lines for people; a terminal gets them folded at words.

    Args:
        text: one or more lines.
        err: on standard error.
        whole: a line stays one, such as a command that somebody copies.
        bold: in bold, where there are colours.
        indent: how many cells from the left a folded line continues.
    """
    lines = showable(text).split("\n")
    if on_terminal(err=err) and not whole:
        width = terminal_width()
        lines = [part for line in lines for part in _folded(line, width, indent)]
    text = "\n".join(lines)
    click.echo(click.style(text, bold=True) if bold and is_coloured() else text, err=err)


def agree(question: str) -> None:
    """Ask whether to continue; any answer but yes aborts the command.

    Raises:
        BadValue: standard input ends before an answer, as in a script.
    """
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort as end:
        if not isinstance(end.__context__, EOFError):
            raise
        click.echo(err=True)
        raise BadValue(
            "The question was not answered: pass --yes to continue without it."
        ) from None
    if not agreed:
        raise click.Abort


def _folded(line: str, width: int, indent: int) -> Iterator[str]:
    first, *rest = fold(line, width, breaks_words=False)
    yield first
    if rest:
        # Folded anew: what is indented has less room.
        room = max(1, width - indent)
        left = line[len(first) :].strip(" ")
        yield from (" " * indent + part for part in fold(left, room, breaks_words=False))


def data_out() -> IO[str]:
    """Return stdout for data: UTF-8 in a file or pipe, whatever the locale says; no control of a terminal."""
    if on_terminal():
        return cast(IO[str], _Terminal())
    if isinstance(sys.stdout, io.TextIOWrapper) and not on_terminal():
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


class _Terminal(io.TextIOBase):
    """Stdout, where it is a terminal: what was stored must not move its cursor, or more."""

    def write(self, text: str) -> int:
        """Write what is visible of each line."""
        lines = text.replace("\r\n", "\n").split("\n")
        sys.stdout.write("\n".join(map(visible, lines)))
        return len(text)
