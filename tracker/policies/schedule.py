"""A learning rate that follows a function of the epoch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from tracker.errors import BadValue
from tracker.policies import reasons
from tracker.policies.verdict import Verdict
from tracker.states import VerdictWord


class Schedule:
    """Ask ``schedule(epoch, lr)``, or ``schedule(epoch)``, for the learning rate of each epoch.

    Which of the two is told by the function's signature, so that a TypeError raised inside it comes
    out unchanged (Keras 3.15.1 calls it a second time with the epoch alone).

    Args:
        schedule: takes the 0-based epoch and the learning rate now; returns a finite number of at
            least 0. It has to be a pure function of its arguments for a resumed run to continue
            as an uninterrupted one.

    Raises:
        BadValue: ``schedule`` cannot be called with one or two positional arguments.
    """

    def __init__(self, schedule: Callable[..., Any]) -> None:
        self.schedule = schedule
        self.takes_lr = _takes(schedule, 2)
        if not callable(schedule) or not (self.takes_lr or _takes(schedule, 1)):
            raise BadValue(
                f"schedule is {schedule!r}: it must be a function of (epoch, lr) or of (epoch). "
                f"Pass for instance lambda epoch, lr: lr * 0.95."
            )

    def step(self, epoch: int, lr: float) -> Verdict:
        """Return a verdict ``scheduled`` whose ``lr_after`` is the learning rate of ``epoch``.

        Raises:
            BadValue: the function returned something that is not a learning rate.
        """
        epoch, lr = int(epoch), float(lr)
        after = _rate(self.schedule(epoch, lr) if self.takes_lr else self.schedule(epoch), epoch)
        reason = reasons.scheduled(epoch, lr, after)
        return Verdict(VerdictWord.SCHEDULED, reason, epoch, lr_before=lr, lr_after=after)


def _takes(function: Any, count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # some builtins have no signature
        return True
    return True


def _rate(returned: Any, epoch: int) -> float:
    try:
        rate = math.nan if isinstance(returned, (bool, str, bytes)) else float(returned)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        rate = math.nan
    if not math.isfinite(rate) or rate < 0:
        raise BadValue(
            f"schedule returned {returned!r} for epoch {epoch}: a learning rate must be a finite "
            f"number of at least 0. Let the function return a float."
        )
    return rate
