"""ReduceLROnPlateau: Keras' own, its decisions recorded."""

from __future__ import annotations

import keras

from tracker.policies import PlateauState, reasons
from tracker_keras.session.base import Logs
from tracker_keras.session.monitor import Monitoring
from tracker_keras.session.values import learning_rate, number


class ReduceLROnPlateau(Monitoring, keras.callbacks.ReduceLROnPlateau):
    """Lower the learning rate when a metric has stopped improving: Keras decides, the run keeps why.

    Arguments, attributes and messages are those of ``keras.callbacks.ReduceLROnPlateau``. Each
    epoch is a decision: improved, waited, reduced, or skipped (metric missing), with the learning
    rate before and after. In a resumed run ``wait``, ``best``, ``cooldown_counter`` and the
    learning rate continue where they were.
    """

    tracker_kind = "ReduceLROnPlateau"
    tracker_settings = (
        "monitor",
        "factor",
        "patience",
        "mode",
        "min_delta",
        "cooldown",
        "min_lr",
    )
    _tracker_best_epoch: int | None = None

    def _tracker_begin(self, logs: Logs) -> None:
        self._tracker_best_epoch = None
        super()._tracker_begin(logs)

    def _tracker_judge(self, epoch: int, logs: Logs) -> None:
        best, best_epoch = number(self.best), self._tracker_best_epoch
        wait, cooling = self.wait, self.cooldown_counter
        before = learning_rate(self.model)
        with self.tracker_comparison() as comparison:
            super()._tracker_judge(epoch, logs)
        after = learning_rate(self.model)
        value = self.tracker_value(comparison, logs)
        if comparison.improved is None:
            verdict, reason = "skipped", reasons.missing(self.monitor, logs or {})
        elif comparison.improved:
            self._tracker_best_epoch = epoch
            verdict, reason = "improved", self.tracker_why_improved(value, best, best_epoch)
        else:
            not_improved = self.tracker_why_not_improved(value, best, best_epoch)
            verdict, why = self._tracker_counted(0 if cooling else wait, cooling - 1, before, after)
            reason = f"{not_improved}; {why}"
        self._tracker_write(verdict, epoch, reason, value, before, after)

    def _tracker_counted(
        self, wait: int, cooling: int, before: float | None, after: float | None
    ) -> tuple[str, str]:
        """Return verdict and reason of an epoch without improvement, read from Keras' counts after it."""
        if cooling > 0:
            return "waited", reasons.cooling_down(cooling)
        reason = reasons.waits(wait + 1, self.patience)
        if wait + 1 < self.patience or after is None or before is None:
            return ("reduced" if self.wait == 0 else "waited"), reason
        if self.wait == 0:  # Keras begins to count again after a reduction only
            return "reduced", f"{reason}; {reasons.reduced(before, after)}"
        return "waited", f"{reason}; {reasons.at_min_lr(after, self.min_lr)}"

    def _tracker_write(
        self,
        verdict: str,
        epoch: int,
        reason: str,
        value: float | None,
        before: float | None,
        after: float | None,
    ) -> None:
        state = PlateauState(
            wait=self.wait,
            best=number(self.best),
            best_epoch=self._tracker_best_epoch,
            cooldown_counter=self.cooldown_counter,
        )
        self.tracker_decided(
            verdict,
            epoch=epoch,
            reason=reason,
            value=value,
            best=state.best,
            best_epoch=state.best_epoch,
            wait=self.wait,
            lr_before=before,
            lr_after=after,
            state={**state.as_dict(), "lr": after},
        )

    def tracker_resume(self, epoch: int) -> None:
        """Resume with the counts and the best value of the attempt before."""
        saved = self.tracker_saved_state()
        if saved is None:
            return
        state = PlateauState.from_dict(saved)
        self.wait, self.best, self._tracker_best_epoch = state.wait, state.best, state.best_epoch
        self.cooldown_counter = state.cooldown_counter
        self.tracker_catch_up(saved, epoch)
