"""What a neighbour's early stopping has decided, told from what it remembers before and after a check."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import tracker
from tracker.policies import TRACKER, reasons
from tracker.policies.compare import beats
from tracker_integrations.recording import Recording


@dataclass(frozen=True)
class Seen:
    """What an early stopping remembers: its best value, the epoch of it, and the checks without a better one."""

    best: float | None = None
    best_epoch: int | None = None
    wait: int = 0

    def known_to(self, policy: tracker.Policy) -> Seen:
        """Return it with the epoch that the run has recorded for this best, where it is resumed."""
        saved = policy.saved_state or {}
        if self.best is None or saved.get("best") != self.best:
            return self
        return replace(self, best_epoch=saved.get("best_epoch"))

    def after(self, epoch: int, value: float, mode: str) -> Seen:
        """Return what is remembered after a value, by a neighbour that does not keep it: NaN is never the best."""
        best = self.best
        if math.isnan(value) or (
            best is not None and not beats(value, best, direction=mode, rules=TRACKER)
        ):
            return replace(self, wait=self.wait + 1)
        return Seen(value, epoch)


def record_check(
    recording: Recording,
    policy: tracker.Policy,
    before: Seen,
    after: Seen,
    *,
    epoch: int,
    value: float,
    patience: int = 0,
    step: int | None = None,
    min_delta: float = 0.0,
    stopped: bool = False,
    improved: bool | None = None,
    why: str | None = None,
) -> None:
    """Record one check of a neighbour's early stopping: improved, waited or stopped, with the sentence.

    Args:
        recording: the training.
        policy: what stands for the callback.
        before, after: what it remembered before the check, and remembers after it.
        epoch, step: where the check was.
        value: the metric.
        patience: how many checks it waits for; nothing goes by it where ``why`` is given.
        min_delta: what an improvement must exceed.
        stopped: whether it has stopped the training.
        improved: whether the count begins anew; by default, whether there is a new best value, which with some
            neighbours is not the same.
        why: the sentence, where the cause is another one than patience.
    """
    monitor = policy.monitor or ""
    if improved is None:
        improved = after.best_epoch != before.best_epoch or after.best != before.best
    if why is None and improved:
        why = _improvement(monitor, value, before, min_delta)
        why = f"{why}; {reasons.waits(0, patience)}" if stopped else why
    elif why is None:
        waits = reasons.waits(after.wait, patience)
        no_better = reasons.not_improved(
            monitor, value, before.best, before.best_epoch, min_delta=min_delta
        )
        why = f"{no_better}; {waits}"
    verdict = "stopped" if stopped else "improved" if improved else "waited"
    recording.decide(
        policy,
        verdict,
        epoch=epoch,
        step=step,
        reason=why,
        value=value,
        best=after.best,
        best_epoch=after.best_epoch,
        wait=after.wait,
        state=asdict(after),
    )
    if stopped:
        recording.stop(why)


def _improvement(monitor: str, value: float, before: Seen, min_delta: float) -> str:
    if before.best is None:
        return reasons.first(monitor, value)
    return reasons.improved(monitor, value, before.best, before.best_epoch, min_delta=min_delta)
