"""Whose run it is: one training has one run, and a run one training at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakSet

from tracker import Run, UsageError

_taken: WeakSet[Run] = WeakSet()


def take(run: Run) -> None:
    """Note that a training records into ``run``.

    Raises:
        UsageError: another one of this process does, or did.
    """
    if run in _taken:
        raise UsageError(
            f"run {run.name} already belongs to another Training: two would mix their epochs. "
            f"Close the first (leave its `with`, or call close()), and start a run for each: "
            f"with tracker.start_run(...): Training(...)."
        )
    _taken.add(run)


def hand_over(
    run: Run,
    params: Mapping[str, Any] | None,
    tags: Mapping[str, Any] | Iterable[str] | None,
    resume: str | None,
) -> None:
    """Give a run that somebody else started the arguments that would have started one.

    Raises:
        UsageError: ``resume`` comes too late.
    """
    if resume is not None:
        raise UsageError(
            f"resume is {resume!r}, but run {run.name} is active already: "
            f"pass resume= to the tracker.start_run that started it."
        )
    run.log_params(params or {})
    run.set_tags(tags or {})
