"""Which epochs deserve a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tracker.errors import BadValue
from tracker.policies import reasons, validation
from tracker.policies.compare import beats
from tracker.policies.modes import KERAS, TRACKER, direction_of
from tracker.policies.verdict import Record, Verdict


@dataclass(frozen=True)
class BestState(Record):
    """The best value so far and its 0-based epoch; an epoch of None: none yet, or handed in."""

    best: float | None = None
    best_epoch: int | None = None


@dataclass(frozen=True)
class Best(Record):
    """Save at every check, or with ``save_best_only`` only when ``monitor`` is better than before.

    ``initial_value_threshold`` is the first value to beat. The arguments are those of Keras'
    ModelCheckpoint.

    Under ``tracker-1`` values are compared as doubles, a NaN is never best, the best value is
    followed at every save, a missing metric is not saved over the best, and ``monitor`` may be
    None where every checkpoint is saved. Under ``keras-3.15`` it decides as Keras 3.15.1: single
    precision, a first NaN is best for ever, a missing metric is saved, and the best value moves
    only with ``save_best_only``.

    Raises:
        BadValue: for ``save_best_only`` without a monitor, a name that is none, a mode that is
            unknown (``tracker-1``) or that the name does not tell.
    """

    monitor: str | None = "val_loss"
    mode: str = "auto"
    rules: str = TRACKER
    initial_value_threshold: float | None = None
    save_best_only: bool = False

    def __post_init__(self) -> None:
        validation.known_rules(self.rules)
        if self.monitor is None:
            if self.save_best_only or self.rules == KERAS:
                raise BadValue(
                    "monitor is None: which checkpoint is best can only be told by a metric. "
                    "Pass its name, such as monitor='val_loss', or save_best_only=False."
                )
        else:
            validation.metric_name(self.monitor)
            _ = self.direction
        if (threshold := self.initial_value_threshold) is not None:
            settled = validation.real(
                "initial_value_threshold", threshold, finite=self.rules != KERAS
            )
            object.__setattr__(self, "initial_value_threshold", settled)

    @cached_property
    def direction(self) -> str:
        """``min`` or ``max``: `mode`, or what the metric's name says."""
        return direction_of(self.monitor or "", self.mode, self.rules)

    def initial(self) -> BestState:
        """Return the state before the first save."""
        return BestState(best=self.initial_value_threshold)

    def step(
        self, state: BestState, epoch: int, value: float | None, names: Iterable[str] = ()
    ) -> tuple[BestState, Verdict]:
        """Judge one check.

        Args:
            state: what the check before returned, or `initial`.
            epoch: 0-based number of the epoch.
            value: the metric, or None where there is none.
            names: the metrics that there are, told where ``value`` is None.

        Returns:
            The new state and a verdict: saved or skipped, with ``improved`` saying whether this is
            the new best.
        """
        epoch = int(epoch)
        value = None if value is None else float(value)
        follows = self.save_best_only or (self.rules != KERAS and self.monitor is not None)
        improved = follows and value is not None and self._improves(value, state.best)
        after = BestState(best=value, best_epoch=epoch) if improved else state
        unjudged = self.save_best_only and value is None
        saves = improved or not self.save_best_only or (unjudged and self.rules == KERAS)
        return after, Verdict(
            verdict="saved" if saves else "skipped",
            reason=self._reason(state, value, improved, names),
            epoch=epoch,
            monitor=self.monitor,
            value=value,
            best=after.best,
            best_epoch=after.best_epoch,
            improved=improved,
        )

    def _improves(self, value: float, best: float | None) -> bool:
        if best is None:
            return self.rules == KERAS or not math.isnan(value)
        return self._beats(value, best, self.rules)

    def _beats(self, value: float, best: float, rules: str) -> bool:
        return beats(value, best, direction=self.direction, rules=rules)

    def _reason(
        self, before: BestState, value: float | None, improved: bool, names: Iterable[str]
    ) -> str:
        monitor = self.monitor or ""
        if value is None and self.save_best_only:
            word = reasons.saved_unjudged if self.rules == KERAS else reasons.missing
            return word(monitor, names)
        compared = ""
        if value is not None and improved:
            compared = self._praise(monitor, before, value)
        elif value is not None and self.save_best_only:
            tie = before.best is not None and self._beats(value, before.best, TRACKER)
            compared = reasons.not_improved(monitor, value, before.best, before.best_epoch, tie=tie)
        if self.save_best_only:
            return compared
        return "; ".join(filter(None, (reasons.every_save(), compared)))

    def _praise(self, monitor: str, before: BestState, value: float) -> str:
        if before.best is None:
            return reasons.first(monitor, value)
        return reasons.improved(monitor, value, before.best, before.best_epoch)
