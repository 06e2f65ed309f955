"""LRSchedulerCallback: steps a scheduler of `torch.optim.lr_scheduler`, and records what it did."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from torch.optim.lr_scheduler import ReduceLROnPlateau

from tracker import BadValue, policies
from tracker_torch.callback import Callback, Logs
from tracker_torch.learning_rate import set_all_rates
from tracker_torch.state import state_of

if TYPE_CHECKING:
    from tracker_torch.callback_list import CallbackList


class LRSchedulerCallback(Callback):
    """Call ``scheduler.step()`` after each epoch or batch; saved and restored with the training.

    An epoch's decision is ``scheduled``, with the learning rates before and after; for torch's
    ReduceLROnPlateau it is improved, waited or reduced, with its best value and wait.

    Args:
        scheduler: any scheduler; not to be stepped by the loop as well.
        per: ``"epoch"`` or ``"batch"``.
        monitor: for ReduceLROnPlateau the metric to hand to it; ``"val_loss"`` by default.
        verbose: 1 prints every change.

    Raises:
        BadValue: for another ``per``, or ReduceLROnPlateau per batch.
    """

    logs_rates = True

    def __init__(
        self,
        scheduler: Any,
        per: Literal["epoch", "batch"] = "epoch",
        monitor: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.plateau = isinstance(scheduler, ReduceLROnPlateau)
        if per not in ("epoch", "batch") or (self.plateau and per == "batch"):
            raise BadValue(
                f"per is {per!r}: it must be 'epoch' or 'batch', and 'epoch' for ReduceLROnPlateau."
            )
        self.scheduler, self.per, self.verbose = scheduler, per, verbose
        self.monitor = (monitor or "val_loss") if self.plateau else None
        self.batch_hooks = per == "batch"
        self._before: float | None = None
        self._best_epoch: int | None = None

    def set_loop(self, loop: CallbackList) -> None:
        """Have the scheduler saved with checkpoints, unless the loop has another."""
        super().set_loop(loop)
        if loop.scheduler is None:
            loop.scheduler = self.scheduler

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin; a resumed run without a backup gets the counters and rates that were recorded."""
        config = {"scheduler": type(self.scheduler).__name__, "per": self.per}
        saved, carried = self.join(monitor=self.monitor, config=config)
        self._best_epoch = saved.get("best_epoch")
        if carried.get("scheduler") and self.loop.scheduler is not self.scheduler:
            self.scheduler.load_state_dict(carried["scheduler"])
        elif not self.loop.restored:
            vars(self.scheduler).update(saved.get("counters", {}))
            set_all_rates(self.scheduler.optimizer, {"": saved.get("rates", [])})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the rate that the epoch begins with."""
        self._before = self._rate()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Step, where batches are what is counted."""
        if self.per == "batch":
            self.scheduler.step()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Step, where epochs are what is counted; record the epoch's change."""
        before = self._rate() if self._before is None or self.per == "epoch" else self._before
        if self.plateau:
            self._step_plateau(epoch, logs or {}, before)
        elif self.per == "epoch":
            self.scheduler.step()
        after = self._rate()
        if not self.plateau:
            reason = policies.words.scheduled(epoch + 1, before, after)
            self._record("scheduled", reason, epoch, before, after)
        if self.verbose and after != before:
            name = type(self.scheduler).__name__
            self.loop.say(f"\nEpoch {epoch + 1}: {name} setting learning rate to {after}.")

    def _step_plateau(self, epoch: int, logs: Logs, before: float) -> None:
        value = self.watched(self.monitor, logs, epoch)
        monitor, words, best = self.monitor or "", policies.words, self._best()
        if value is None:
            self._record("skipped", words.missing(monitor, logs), epoch, before, before)
            return
        self.scheduler.step(value)
        after, waits = self._rate(), self.scheduler.num_bad_epochs
        if self._best() == value and value != best:
            reason = (
                words.first(monitor, value)
                if best is None
                else (words.improved(monitor, value, best, self._best_epoch))
            )
            self._best_epoch, verdict = epoch, "improved"
        else:
            reason = words.not_improved(monitor, value, best, self._best_epoch)
            verdict = "waited"
        if after != before:
            verdict, reason = "reduced", f"{reason}; {words.reduced(before, after)}"
        elif verdict == "waited":
            reason = f"{reason}; {words.waits(waits, self.scheduler.patience)}"
        self._record(verdict, reason, epoch, before, after, value=value, wait=waits)

    def _record(
        self, verdict: str, reason: str, epoch: int, before: float, after: float, **facts: Any
    ) -> None:
        counters = {
            name: value
            for name, value in self.scheduler.state_dict().items()
            if isinstance(value, (int, float))
        }
        rates = [float(group["lr"]) for group in self.scheduler.optimizer.param_groups]
        self.decide(
            verdict,
            reason=reason,
            epoch=epoch,
            best=self._best(),
            best_epoch=self._best_epoch,
            lr_before=before,
            lr_after=after,
            state={"counters": counters, "rates": rates, "best_epoch": self._best_epoch},
            **facts,
        )

    def _rate(self) -> float:
        return float(self.scheduler.optimizer.param_groups[0]["lr"])

    def _best(self) -> float | None:
        best = getattr(self.scheduler, "best", None)
        return best if best is not None and math.isfinite(best) else None

    def get_state(self) -> dict[str, Any]:
        """Return the scheduler's state, where the loop saves another one."""
        alone = self.loop.scheduler is not self.scheduler
        return {
            "scheduler": state_of(self.scheduler) if alone else None,
            "state": {"best_epoch": self._best_epoch},
        }
