"""EarlyStopping: Keras' own, its decisions recorded."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from tracker.policies import EarlyStoppingState, reasons
from tracker_keras.session.base import Logs
from tracker_keras.session.best_weights import find_weights
from tracker_keras.session.monitor import Monitoring
from tracker_keras.session.values import number


class EarlyStopping(Monitoring, keras.callbacks.EarlyStopping):
    """Stop training when a metric has stopped improving: Keras decides, the run keeps why.

    Arguments, attributes and messages are those of ``keras.callbacks.EarlyStopping``. Each epoch
    is a decision: improved, waited, stopped, or skipped (warm-up, metric missing); weights that
    come back are one more: restored.

    In a resumed run ``wait``, ``best`` and ``best_epoch`` continue where they were, and a training
    that had stopped stays so unless a changed argument says otherwise. The best weights come from
    ``BackupAndRestore`` or from a checkpoint of that epoch.
    """

    tracker_kind = "EarlyStopping"
    tracker_settings = (
        "monitor",
        "min_delta",
        "patience",
        "mode",
        "baseline",
        "restore_best_weights",
        "start_from_epoch",
    )
    _tracker_why = ""
    _tracker_restored = False

    def _tracker_begin(self, logs: Logs) -> None:
        self._tracker_why, self._tracker_restored = "", False
        super()._tracker_begin(logs)

    def _tracker_judge(self, epoch: int, logs: Logs) -> None:
        self._tracker_restored = False
        best, stopped = number(self.best), self.stopped_epoch
        had_stopped = bool(getattr(self.model, "stop_training", False))
        # Keras sets it where training begins, which a subclass may leave out.
        best_epoch = getattr(self, "best_epoch", 0)
        with self.tracker_comparison() as comparison:
            super()._tracker_judge(epoch, logs)
        value = self.tracker_value(comparison, logs)
        if comparison.improved is None:
            verdict, reason = "skipped", self._tracker_why_skipped(epoch, logs)
        elif comparison.improved:
            verdict, reason = "improved", self._tracker_improved_reason(value, best, best_epoch)
        else:
            verdict = "waited" if self.stopped_epoch == stopped else "stopped"
            reason = self._tracker_why_not(
                epoch, self.tracker_why_not_improved(value, best, best_epoch)
            )
        if verdict == "stopped":
            self._tracker_why = reason
            if self._tracker_session is not None:
                self._tracker_session.note_stop(reason, had_stopped=had_stopped)
        self._tracker_write(verdict, epoch, reason, value)

    def _tracker_why_skipped(self, epoch: int, logs: Logs) -> str:
        if (logs or {}).get(self.monitor) is None:
            return reasons.missing(self.monitor, logs or {})
        return reasons.warm_up(epoch, self.start_from_epoch)

    def _tracker_improved_reason(
        self, value: float | None, best: float | None, best_epoch: int
    ) -> str:
        reason = self.tracker_why_improved(value, best, best_epoch)
        if self.baseline is None or self.wait == 0:
            return reason
        return (
            f"{reason}, {reasons.behind_baseline(float(self.baseline), self.wait, self.patience)}"
        )

    def _tracker_why_not(self, epoch: int, why: str) -> str:
        reason = f"{why}; {reasons.waits(self.wait, self.patience)}"
        held = epoch <= 0 and self.wait >= self.patience
        return f"{reason}; {reasons.held_by_first_epoch()}" if held else reason

    def _tracker_write(self, verdict: str, epoch: int, reason: str, value: float | None) -> None:
        best = number(self.best)
        state = EarlyStoppingState(
            wait=self.wait,
            best=best,
            best_epoch=None if best is None else self.best_epoch,
            stopped_epoch=self.stopped_epoch or None,
            stopped_by="patience" if self.stopped_epoch else None,
        )
        self.tracker_decided(
            verdict,
            epoch=epoch,
            reason=reason,
            value=value,
            best=best,
            best_epoch=state.best_epoch,
            wait=self.wait,
            state={**state.as_dict(), "why": self._tracker_why, "restored": verdict == "restored"},
        )

    def _tracker_end(self, logs: Logs) -> None:
        super()._tracker_end(logs)
        epoch = None if self._tracker_session is None else self._tracker_session.last_epoch
        restored = self.restore_best_weights and self.best_weights is not None
        if restored and epoch is not None and not self._tracker_restored:
            reason = reasons.restored(self.monitor, number(self.best), self.best_epoch)
            self._tracker_write("restored", epoch, reason, None)

    def tracker_resume(self, epoch: int) -> None:
        """Resume with the wait and the best value of the attempt before."""
        saved = self.tracker_saved_state()
        if saved is None:
            return
        state = EarlyStoppingState.from_dict(saved)
        self.wait, self.best = state.wait, state.best
        self.best_epoch = state.best_epoch or 0
        stays = state.stopped_epoch == epoch - 1 and self.wait >= self.patience
        self.stopped_epoch = epoch - 1 if stays else 0
        self._tracker_why = str(saved.get("why") or "") if stays else ""
        self._tracker_restored = bool(saved.get("restored"))
        if self.restore_best_weights and state.best_epoch is not None:
            self.best_weights = self._tracker_earlier_weights(state.best_epoch, epoch)
        if stays and self._tracker_session is not None:
            self._tracker_session.note_stop(self._tracker_why)
        self.tracker_catch_up(saved, epoch)

    def tracker_has_stopped(self) -> bool:
        """Whether it had already ended the training that is resumed."""
        return bool(self.stopped_epoch)

    def _tracker_earlier_weights(self, best_epoch: int, epoch: int) -> Any:
        session = self._tracker_session
        weights = None if session is None else find_weights(session, self, best_epoch)
        if weights is None:
            warnings.warn(
                f"EarlyStopping cannot bring back the weights of epoch {best_epoch}, the best so "
                f"far: the attempt that trained them left no copy. It keeps the best weights from "
                f"epoch {epoch} on. BackupAndRestore and ModelCheckpoint leave such copies.",
                stacklevel=2,
            )
        return weights
