"""Which epochs deserve a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from tracker.errors import BadValue
from tracker.policies import reasons, validation
from tracker.policies.modes import KERAS, LIGHTNING, TRACKER, TRANSFORMERS
from tracker.policies.monitored import Monitored, MonitoredState
from tracker.policies.verdict import Verdict
from tracker.states import VerdictWord


@dataclass(frozen=True)
class BestState(MonitoredState):
    """The best value so far and its 0-based epoch; an epoch of None: none yet, or handed in."""

    best: float | None = None
    best_epoch: int | None = None


@dataclass(frozen=True)
class Best(Monitored):
    """Save at every check, or with ``save_best_only`` only when ``monitor`` is better than before.

    ``initial_value_threshold`` is the first value to beat. The arguments are those of Keras'
    ModelCheckpoint.

    Under ``tracker-1`` values are compared as doubles, a NaN is never best, the best value is
    followed at every save, a missing metric is not saved over the best, and ``monitor`` may be
    None where every checkpoint is saved. Under ``keras-3.15`` it decides as Keras 3.15.1: single
    precision, a first NaN is best for ever, a missing metric is saved, and the best value moves
    only with ``save_best_only``. Under ``transformers-5`` it decides as the Trainer of Transformers 5.24:
    as ``tracker-1``, but for the worst infinity, which is never best. Under ``lightning-2.6`` values are
    compared in their own precision.

    Raises:
        BadValue: for ``save_best_only`` without a monitor, a monitor that is not a name, a mode that
            is unknown (``tracker-1``) or that the name does not tell.
    """

    known_rules: ClassVar[tuple[str, ...]] = (TRACKER, KERAS, TRANSFORMERS, LIGHTNING)

    monitor: str | None = "val_loss"
    mode: str = "auto"
    rules: str = TRACKER
    initial_value_threshold: float | None = None
    save_best_only: bool = False

    def __post_init__(self) -> None:
        self._check_monitor(optional=True)
        if self.monitor is None and (self.save_best_only or self.rules == KERAS):
            raise BadValue(
                "monitor is None: which checkpoint is best can only be told by a metric. "
                "Pass its name, such as monitor='val_loss', or save_best_only=False."
            )
        if (threshold := self.initial_value_threshold) is not None:
            name, finite = "initial_value_threshold", self.rules != KERAS
            self._set(**{name: validation.real(threshold, name, finite=finite)})

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
            value: the metric, or None where it is missing.
            names: the metrics of this epoch, which the reason lists where ``value`` is None.

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
        verdict = VerdictWord.SAVED if saves else VerdictWord.SKIPPED
        reason = self._reason(state, value, improved, names)
        return after, self._verdict(verdict, reason, after, epoch, value, improved=improved)

    def _improves(self, value: float, best: float | None) -> bool:
        if best is None and self.rules == TRANSFORMERS:
            best = math.inf if self.direction == "min" else -math.inf
        return super()._improves(value, best)

    def _reason(
        self, before: BestState, value: float | None, improved: bool, names: Iterable[str]
    ) -> str:
        if value is None and self.save_best_only:
            word = reasons.saved_unjudged if self.rules == KERAS else reasons.missing
            return word(self.monitor or "", names)
        compared = ""
        if value is not None and improved:
            compared = self._improvement(before, value)
        elif value is not None and self.save_best_only:
            compared = self._no_improvement(before, value)
        if self.save_best_only:
            return compared
        return "; ".join(filter(None, (reasons.every_save(), compared)))
