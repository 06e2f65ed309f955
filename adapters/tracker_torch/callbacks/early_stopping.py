"""EarlyStopping: ends training when a metric has stopped improving."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tracker import CheckpointError, policies
from tracker_torch.callback import Logs
from tracker_torch.loop import distributed
from tracker_torch.monitored import MonitoredCallback
from tracker_torch.state.checkpoint_file import load_checkpoint
from tracker_torch.state.serialization import restore_weights, weights_on_cpu


class EarlyStopping(MonitoredCallback[policies.EarlyStoppingState]):
    """Stop when ``monitor`` has not improved for ``patience`` epochs.

    Args:
        monitor: name of the metric.
        min_delta: an improvement is better than the best by more than this.
        patience: epochs without improvement that are waited for.
        verbose: 1 prints what Keras prints.
        mode: ``min``, ``max``, or ``auto``: by the metric's name.
        baseline: a value that has to be beaten for an improvement to set the wait back.
        restore_best_weights: bring back the best epoch's weights when training ends, stopped or
            not. Until then they are kept on the CPU.
        start_from_epoch: epochs before this one are not judged.
        stopping_threshold: stop at once when the metric reaches this target.
        divergence_threshold: stop at once when the metric is worse than this.
        check_finite: stop at once when the metric is NaN or infinite.
        min_epochs: never stop before so many epochs are done.
        rules: ``tracker-1`` compares doubles and never takes a NaN for the best; ``keras-3.15``
            decides as Keras 3.15 does (`tracker.policies.EarlyStopping` has all of it).

    Attributes:
        wait, best, best_epoch, stopped_epoch: as in Keras, but None where there is none yet.
        stopped_by: patience, threshold, divergence, not-finite, or None for not stopped.
        best_weights: the best epoch's weights on the CPU, by the name of the module.

    Raises:
        BadValue: for arguments that cannot be.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
        *,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_finite: bool = False,
        min_epochs: int = 0,
        rules: str = policies.TRACKER,
    ) -> None:
        self.rule = policies.EarlyStopping(
            monitor=monitor,
            min_delta=min_delta,
            patience=patience,
            mode=mode,
            baseline=baseline,
            start_from_epoch=start_from_epoch,
            rules=rules,
            stopping_threshold=stopping_threshold,
            divergence_threshold=divergence_threshold,
            check_finite=check_finite,
            min_epochs=min_epochs,
        )
        self.monitor, self.patience, self.verbose = monitor, self.rule.patience, verbose
        self.restore_best_weights = restore_best_weights
        self.state = self.rule.initial()
        self.best_weights: dict[str, Any] | None = None
        self._restored = False
        self._why: str | None = None

    @property
    def needs_model(self) -> bool:
        """Whether the best weights are kept."""
        return self.restore_best_weights

    @property
    def wait(self) -> int:
        """Epochs in a row without improvement."""
        return self.state.wait

    @property
    def stopped_epoch(self) -> int | None:
        """The 0-based epoch that training was stopped at."""
        return self.state.stopped_epoch

    @property
    def stopped_by(self) -> str | None:
        """Which rule stopped it."""
        return self.state.stopped_by

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, or where the resumed run left off."""
        settings = {
            **self.rule.as_dict(),
            "mode": self.rule.direction,
            "restore_best_weights": self.restore_best_weights,
        }
        saved, carried = self.join(monitor=self.monitor, rules=self.rule.rules, config=settings)
        self.state = policies.EarlyStoppingState.from_dict(saved)
        same = (carried.get("state") or {}).get("best_epoch") == self.best_epoch
        self.best_weights = carried.get("best_weights") if same else None
        self._restored, self._why = bool(saved.get("restored")), saved.get("why")
        if self.stopped_epoch is not None:
            self._stop_again_or_go_on()

    def _stop_again_or_go_on(self) -> None:
        """The run was killed after it had been stopped: stop it again, unless the rules have changed."""
        changed = distributed.share(bool(self.policy and self.policy.changed))
        if changed and (
            self.stopped_by != policies.StopCause.PATIENCE or self.wait < self.patience
        ):
            self.state = replace(self.state, stopped_epoch=None, stopped_by=None)
            self._restored = False
        else:
            self.loop.stop(self._why or f"stopped at epoch {self.stopped_epoch}")
            self.loop.warn(
                f"EarlyStopping has ended run {self.run.name} at epoch {self.stopped_epoch} "
                f"({self._why}): nothing is trained unless an argument changes."
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judge the epoch, and stop training where it is time."""
        value = self.watched(self.monitor, logs or {}, epoch)
        self.state, verdict = self.rule.step(self.state, epoch, value, logs or ())
        if verdict.improved and self.restore_best_weights:
            self.best_weights = weights_on_cpu(self.model, into=self.best_weights)
        self._why, self._restored = verdict.reason if verdict.stop else None, False
        self.decide(verdict.verdict, **verdict.as_decision(), state=self._saved())
        if verdict.stop:
            self.loop.stop(verdict.reason)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Bring back the best weights where that was asked for."""
        if self.stopped_epoch is not None and self.verbose:
            self.loop.say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if not self.restore_best_weights or self.best_epoch is None:
            return
        if self.best_weights is None and not self._load_best():
            return
        if self.verbose:
            self.loop.say(
                f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}."
            )
        if self.best_weights is not None:
            restore_weights(self.model, self.best_weights)
        if not self._restored:
            self._restored = True
            self.decide(
                "restored",
                reason=policies.reasons.restored(self.monitor, self.best, self.best_epoch),
                epoch=self.loop.epoch,
                best=self.best,
                best_epoch=self.best_epoch,
                wait=self.wait,
                state=self._saved(),
            )

    def _load_best(self) -> bool:
        """The best epoch belongs to an attempt whose memory is gone: look for its checkpoint."""
        best = [
            checkpoint
            for checkpoint in distributed.share(self.run.checkpoints())
            if checkpoint.epoch == self.best_epoch
        ]
        why = "there is no checkpoint of that epoch"
        try:
            if best:
                load_checkpoint(best[-1], self.model)
                return True
        except CheckpointError as error:
            why = f"its checkpoint cannot be loaded: {error}"
        self.loop.warn(
            f"EarlyStopping cannot restore the weights of epoch {self.best_epoch}: an earlier attempt "
            f"had them, and {why.removesuffix('.')}. BackupAndRestore keeps them for the next time."
        )
        return False

    def _saved(self) -> dict[str, Any]:
        return self.state.as_dict() | {"restored": self._restored, "why": self._why}

    def get_state(self) -> dict[str, Any]:
        """Return the state and the best weights."""
        return {"state": self._saved(), "best_weights": self.best_weights}
