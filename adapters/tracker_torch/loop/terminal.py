"""What is shown to the user: where nobody can read it any more, training goes on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TextIO

_UNREAD = (OSError, ValueError)
"""What a terminal that was hung up, a pipe without a reader, or a closed stream raises."""


class Terminal:
    """A stream whose writes raise nothing; what the encoding of the stream lacks is escaped.

    Args:
        stream: standard output or standard error; None where the process has none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        # Under a bar of rich, standard error is a proxy that leads back to the bar.
        self._stream: Any = getattr(stream, "rich_proxied_file", stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        try:
            return self._stream is not None and bool(self._stream.isatty())
        except _UNREAD:
            return False

    def write(self, text: str) -> int:
        """Write text if that is possible."""
        with suppress(*_UNREAD):
            self._write(text)
        return len(text)

    def flush(self) -> None:
        """Flush it if that is possible."""
        if self._stream is not None:
            with suppress(*_UNREAD):
                self._stream.flush()

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            self._stream.write(
                text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            )
