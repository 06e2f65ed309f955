"""What a training tells its user: printed or warned, on one process only."""

from __future__ import annotations

import os
import sys
import warnings
from itertools import count
from pathlib import Path

import tracker
from tracker import NotWritable
from tracker_torch.loop.terminal import Terminal

UNWRITABLE = (OSError, NotWritable)
"""What a full disk, or a folder that cannot be made or written, raises."""
_OURS = tuple(
    f"{folder}{os.sep}"
    for folder in (Path(__file__).parents[1], Path(str(tracker.__file__)).parent)
)


class Notices:
    """Prints and warns for one training.

    Args:
        main: whether this is the process that talks.
    """

    def __init__(self, main: bool) -> None:
        self._main = main
        self._forgiven: set[int] = set()

    def begin(self) -> None:
        """Begin a training: what was warned of once in the one before is warned of again."""
        self._forgiven = set()

    def say(self, text: str) -> None:
        """Print what Keras prints with ``verbose=1``."""
        if self._main:
            print(text, file=Terminal(sys.stdout))

    def warn(self, text: str) -> None:
        """Warn, at the line of the user's that called us."""
        if self._main:
            warnings.warn(text, UserWarning, stacklevel=1 + _depth())

    def forgive(self, error: Exception, who: object, what: str) -> None:
        """Warn of a file that could not be written, once for each ``who`` in a training."""
        if id(who) not in self._forgiven:
            self._forgiven.add(id(who))
            self.warn(
                f"{what} ({str(error).rstrip('.')}): training continues without it. Make room, or make "
                f"the folder writable: each further turn tries again, and this is not repeated."
            )


def _depth() -> int:
    """Return how many frames of ours lie between the caller and the line of the user's."""
    for depth in count(1):
        try:
            file = sys._getframe(depth).f_code.co_filename
        except ValueError:
            return 1
        if not file.startswith(_OURS):
            return depth - 1
    raise AssertionError("count() does not end")
