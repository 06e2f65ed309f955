"""Every error of ours, and the exit code the command line ends with.

TrackerError                    1  something failed
├── UsageError (ValueError)     2  the call was wrong
│   ├── BadValue                   a value of a type or range that cannot be taken
│   ├── UnknownRun                 no run of that id, prefix or name
│   ├── AmbiguousRun               several runs of that prefix or name
│   ├── UnknownMetric              no run has a metric of that name
│   └── WhereError                 a filter or sort key that cannot be read
├── StoreError                  1  the database cannot be used
│   ├── NotATrackerDatabase        the file belongs to another program, or is none
│   ├── DatabaseTooNew             made by a newer release
│   ├── DatabaseTooOld             made by an older release: upgrade it
│   ├── NotWritable                a folder or file cannot be written
│   └── DatabaseBusy               somebody held the write lock for too long
├── RunError                    1  the run cannot do that
│   ├── RunClosed                  it has already finished
│   ├── RunBusy                    another process is recording it
│   └── NothingToResume            no such run to resume
└── CheckpointError             1  a checkpoint file is missing, changed or incomplete
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TrackerError(Exception):
    """Base of all our errors; its text says what, with the value, and what to do next."""

    exit_code = 1


class UsageError(TrackerError, ValueError):
    """The call was wrong; calling again, corrected, helps."""

    exit_code = 2


class BadValue(UsageError):
    """A value of a type or range that cannot be taken."""


class UnknownRun(UsageError):
    """No run of that id, id prefix or name."""


class AmbiguousRun(UsageError):
    """Several runs of that id prefix or name."""


class UnknownMetric(UsageError):
    """No run has a metric of that name."""


class WhereError(UsageError):
    """A filter or a sort key that cannot be read."""


class StoreError(TrackerError):
    """The database cannot be used.

    Attributes:
        problem: what is wrong, without the advice that may end the text.
    """

    def __init__(self, text: str, *, problem: str | None = None) -> None:
        super().__init__(text)
        self.problem = text if problem is None else problem


class NotATrackerDatabase(StoreError):
    """The file belongs to another program, or is not a database."""


class DatabaseTooNew(StoreError):
    """Made by a newer release of local-tracker."""


class DatabaseTooOld(StoreError):
    """Made by an older release of local-tracker."""


class NotWritable(StoreError):
    """A folder or file cannot be written."""


class DatabaseBusy(StoreError):
    """Another process held the write lock for too long."""


class RunError(TrackerError):
    """The run cannot do that."""


class RunClosed(RunError):
    """The run has already finished."""


class RunBusy(RunError):
    """Another process is recording this run."""


class NothingToResume(RunError):
    """No such run to resume."""


class CheckpointError(TrackerError):
    """A checkpoint file is missing, changed or incomplete."""


def alike(wanted: str, names: Iterable[str]) -> list[str]:
    """Return up to three names that ``wanted`` is likely to mean, the likeliest first."""
    known, low = list(dict.fromkeys(names)), wanted.lower()
    close = [name for name in known if low and low in name.lower()]
    close = sorted(close, key=lambda name: (not name.lower().startswith(low), len(name)))[:3]
    return close or get_close_matches(wanted, known, n=3, cutoff=0.5)


def nearest(wanted: str, there: Iterable[str], *, what: str = "there are", most: int = 5) -> str:
    """End a sentence with the names near ``wanted``: ``"did you mean a or b?"``, else with the first there are."""
    names = list(dict.fromkeys(there))
    if close := alike(wanted, names):
        return suggestion(close)
    if not names:
        return f"{what} none."
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{what} {', '.join(map(cut, names[:most]))}{more}."


def suggestion(names: Iterable[str]) -> str:
    """End a sentence with what may be meant: ``"did you mean a or b?"``."""
    return f"did you mean {' or '.join(map(cut, names))}?"


def counted(count: float, one: str, many: str | None = None) -> str:
    """Write ``1 epoch``, ``3 epochs``; ``many`` is the plural where it is not ``one`` and an s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def cut(text: str, most: int = 80) -> str:
    """Return the text, or its first ``most`` characters and an ellipsis."""
    return text if len(text) <= most else f"{text[:most]}…"
