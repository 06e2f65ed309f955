"""Early stopping: when a metric has stopped improving, has reached its target or has diverged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from tracker.errors import BadValue
from tracker.policies import reasons, validation
from tracker.policies.compare import is_single, single
from tracker.policies.modes import KERAS, LIGHTNING, RULES, TRACKER, TRANSFORMERS
from tracker.policies.monitored import Monitored, MonitoredState
from tracker.policies.verdict import StopCause, Verdict
from tracker.states import VerdictWord


@dataclass(frozen=True)
class EarlyStoppingState(MonitoredState):
    """What early stopping remembers between epochs.

    Attributes:
        wait: checks since the last improvement.
        best: the best value, None for none yet.
        best_epoch: its 0-based epoch, None for none yet.
        stopped_epoch: the epoch at which it last asked to stop, None for never.
        stopped_by: why it did (a `StopCause`), None for "not stopped".
    """

    wait: int = 0
    best: float | None = None
    best_epoch: int | None = None
    stopped_epoch: int | None = None
    stopped_by: str | None = None


@dataclass(frozen=True)
class EarlyStopping(Monitored):
    """Stop when ``monitor`` has not improved for ``patience`` checks.

    A check is an epoch that has the metric: one that lacks it, and one before
    ``start_from_epoch``, is skipped whole. An improvement beats the best so far by more than
    ``min_delta`` (its absolute value); it resets the count, unless there is a ``baseline`` that
    it does not beat. Patience never stops epoch 0, and patience 0 and 1 stop alike, as in Keras.

    Under ``tracker-1`` values are compared as doubles; a NaN is never best and counts toward
    patience; and, in this order, training stops at once when the value

    1. is NaN or infinite, with ``check_finite`` (such a value is never best);
    2. has reached ``stopping_threshold`` (at or beyond it);
    3. is past ``divergence_threshold`` (strictly worse).

    Nothing stops before ``min_epochs`` epochs are done; from then on each epoch is judged by its
    own value and by the checks counted so far.

    Under ``keras-3.15`` it decides as Keras 3.15.1: single precision, a first NaN is best for
    ever, and those four options are refused. The order of the checks is Lightning 2.6's,
    the rest is Keras 3.15.1's.

    Under ``transformers-5`` it decides as ``EarlyStoppingCallback`` and the Trainer of Transformers
    5.24.0 do between them: the first check resets the count, whatever its value; a later one resets
    it where it is better than the best by more than ``min_delta``; the best is the best value, also
    where that is too little to reset the count; and training stops at any check with ``patience``
    waits, epoch 0 and patience 0 included. It has none of the other options.

    Under ``lightning-2.6`` it decides as Lightning 2.6.6: values in their own, usually single, precision; an
    infinite first value is not an improvement; a threshold must be passed and not only reached; a value that stops at
    once counts neither as best nor as a wait; patience may stop epoch 0; and a stop that ``min_epochs`` (the
    Trainer's) holds back comes when they are done, whatever the metric is by then. It has no ``baseline`` and no
    ``start_from_epoch``.

    Raises:
        BadValue: for a value that cannot be. ``keras-3.15`` takes what Keras takes: a negative
            patience, and an unknown mode, which counts as ``auto``.
    """

    monitor: str = "val_loss"
    min_delta: float = 0.0
    patience: int = 0
    mode: str = "auto"
    baseline: float | None = None
    start_from_epoch: int = 0
    rules: str = TRACKER
    stopping_threshold: float | None = None
    divergence_threshold: float | None = None
    check_finite: bool = False
    min_epochs: int = 0

    known_rules: ClassVar[tuple[str, ...]] = RULES

    def __post_init__(self) -> None:
        self._check_monitor()
        keras = self.rules == KERAS
        least = None if keras else 0
        self._set(
            patience=validation.count(self.patience, "patience", least=least),
            start_from_epoch=validation.count(
                self.start_from_epoch, "start_from_epoch", least=least
            ),
            min_epochs=validation.count(self.min_epochs, "min_epochs"),
            min_delta=validation.real(self.min_delta, "min_delta", finite=not keras),
        )
        for name in ("baseline", "stopping_threshold", "divergence_threshold"):
            if (value := getattr(self, name)) is not None:
                self._set(**{name: validation.real(value, name, finite=not keras)})
        if self.rules != TRACKER:
            self._refuse_ours()

    def initial(self) -> EarlyStoppingState:
        """Return the state before the first epoch."""
        return EarlyStoppingState()

    def step(
        self,
        state: EarlyStoppingState,
        epoch: int,
        value: float | None,
        names: Iterable[str] = (),
    ) -> tuple[EarlyStoppingState, Verdict]:
        """Judge one epoch.

        Args:
            state: what the epoch before returned, or `initial`.
            epoch: 0-based number of the epoch that has ended.
            value: the metric, or None where the epoch lacks it.
            names: the metrics of this epoch, which the reason lists where ``value`` is None.

        Returns:
            The new state and a verdict: improved, waited, stopped, or skipped.
        """
        epoch = int(epoch)
        if value is None:
            missing = reasons.missing(self.monitor, names)
            return state, self._verdict(VerdictWord.SKIPPED, missing, state, epoch, None)
        value = float(value)
        if epoch < self.start_from_epoch:
            reason = reasons.warm_up(epoch, self.start_from_epoch)
            return state, self._verdict(VerdictWord.SKIPPED, reason, state, epoch, value)
        improved = self._improves(value, state.best)
        counted = self._count(state, epoch, value, improved)
        cause = self._cause(counted, epoch, value, improved) or self._held_back(state)
        held = cause is not None and epoch + 1 < self.min_epochs
        reason = self._reason(state, counted, epoch, value, improved, cause)
        if held:
            reason = f"{reason}; {reasons.held_by_min_epochs(self.min_epochs)}"
            if self.rules == LIGHTNING:
                counted = replace(counted, stopped_by=str(cause))
        elif cause is not None:
            counted = replace(counted, stopped_epoch=epoch, stopped_by=str(cause))
            stopped = self._verdict(
                VerdictWord.STOPPED, reason, counted, epoch, value, improved=improved
            )
            return counted, replace(stopped, stop=True, stopped_by=cause)
        word = VerdictWord.IMPROVED if improved else VerdictWord.WAITED
        return counted, self._verdict(word, reason, counted, epoch, value, improved=improved)

    def _held_back(self, state: EarlyStoppingState) -> StopCause | None:
        """Return why an earlier check asked to stop, which Lightning remembers until ``min_epochs`` are done."""
        if self.rules != LIGHTNING or state.stopped_by is None:
            return None
        return StopCause(state.stopped_by)

    def _improves(self, value: float, best: float | None) -> bool:
        if self.rules == LIGHTNING:
            worst = math.inf if self.direction == "min" else -math.inf
            return self._cause_at_once(value) is None and self._beats(
                value, worst if best is None else best
            )
        if self.check_finite and not math.isfinite(value):
            return False
        if self.rules == TRANSFORMERS:
            return best is None or (
                self._is_ahead(value, best) and abs(value - best) > self.min_delta
            )
        return super()._improves(value, best)

    def _is_ahead(self, value: float, best: float) -> bool:
        return value < best if self.direction == "min" else value > best

    def _count(
        self, state: EarlyStoppingState, epoch: int, value: float, improved: bool
    ) -> EarlyStoppingState:
        if self.rules == TRANSFORMERS:
            return self._count_as_transformers(state, epoch, value, improved)
        if self.rules == LIGHTNING and self._cause_at_once(value) is not None:
            return state
        if not improved:
            return replace(state, wait=state.wait + 1)
        enough = self.baseline is None or self._beats(value, self.baseline)
        return replace(state, wait=0 if enough else state.wait + 1, best=value, best_epoch=epoch)

    def _count_as_transformers(
        self, state: EarlyStoppingState, epoch: int, value: float, improved: bool
    ) -> EarlyStoppingState:
        wait = 0 if improved else state.wait + 1
        worst = math.inf if self.direction == "min" else -math.inf
        best = worst if state.best is None else state.best
        if self._is_ahead(value, best):
            return replace(state, wait=wait, best=value, best_epoch=epoch)
        return replace(state, wait=wait, best=best)

    def _cause(
        self, counted: EarlyStoppingState, epoch: int, value: float, improved: bool
    ) -> StopCause | None:
        if self.rules == TRANSFORMERS:
            return StopCause.PATIENCE if counted.wait >= self.patience else None
        if (at_once := self._cause_at_once(value)) is not None:
            return at_once
        may_stop = epoch > 0 or self.rules == LIGHTNING
        if not improved and counted.wait >= self.patience and may_stop:
            return StopCause.PATIENCE
        return None

    def _cause_at_once(self, value: float) -> StopCause | None:
        """Return why this value stops, however many checks there were."""
        if self.check_finite and not math.isfinite(value):
            return StopCause.NOT_FINITE
        if self.stopping_threshold is not None and self._reaches(value, self.stopping_threshold):
            return StopCause.THRESHOLD
        if self.divergence_threshold is not None and self._past(value, self.divergence_threshold):
            return StopCause.DIVERGENCE
        return None

    def _reaches(self, value: float, threshold: float) -> bool:
        if self.rules == LIGHTNING:
            return self._is_ahead(value, single(threshold) if is_single(value) else threshold)
        return value <= threshold if self.direction == "min" else value >= threshold

    def _past(self, value: float, threshold: float) -> bool:
        if self.rules == LIGHTNING and is_single(value):
            threshold = single(threshold)
        return value > threshold if self.direction == "min" else value < threshold

    def _reason(
        self,
        before: EarlyStoppingState,
        counted: EarlyStoppingState,
        epoch: int,
        value: float,
        improved: bool,
        cause: StopCause | None,
    ) -> str:
        if cause is StopCause.NOT_FINITE:
            return reasons.not_finite(self.monitor, value)
        if cause is StopCause.THRESHOLD and self.stopping_threshold is not None:
            return reasons.threshold_reached(self.monitor, value, self.stopping_threshold)
        if cause is StopCause.DIVERGENCE and self.divergence_threshold is not None:
            return reasons.diverged(self.monitor, value, self.divergence_threshold)
        if improved:
            reason = self._improvement_beside_baseline(before, counted, value)
            at_once = cause is StopCause.PATIENCE
            return f"{reason}; {reasons.waits(0, self.patience)}" if at_once else reason
        waits = reasons.waits(counted.wait, self.patience)
        reason = f"{self._no_improvement(before, value)}; {waits}"
        is_held = self.rules in (TRACKER, KERAS)
        if epoch <= 0 and counted.wait >= self.patience and is_held:
            reason = f"{reason}; {reasons.held_by_first_epoch()}"
        return reason

    def _improvement_beside_baseline(
        self, before: EarlyStoppingState, counted: EarlyStoppingState, value: float
    ) -> str:
        reason = self._improvement(before, value)
        if self.baseline is None or counted.wait == 0:
            return reason
        behind = reasons.behind_baseline(self.baseline, counted.wait, self.patience)
        return f"{reason}, {behind}"

    def _refuse_ours(self) -> None:
        of_lightning = {
            "stopping_threshold": self.stopping_threshold is not None,
            "divergence_threshold": self.divergence_threshold is not None,
            "check_finite": bool(self.check_finite),
            "min_epochs": self.min_epochs > 0,
        }
        of_keras = {
            "baseline": self.baseline is not None,
            "start_from_epoch": self.start_from_epoch > 0,
        }
        framework, ours = {
            KERAS: ("Keras", of_lightning),
            LIGHTNING: ("Lightning", of_keras),
        }.get(self.rules, ("Transformers", of_lightning | of_keras))
        for name in (name for name, used in ours.items() if used):
            raise BadValue(
                f"{name} is {getattr(self, name)!r}: rules={self.rules!r} has no such option, because "
                f"{framework} has none. Leave it out, or use rules={TRACKER!r}."
            )
