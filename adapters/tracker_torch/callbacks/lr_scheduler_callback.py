"""LRSchedulerCallback: steps a scheduler of `torch.optim.lr_scheduler`, and records what it did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from torch.optim.lr_scheduler import ReduceLROnPlateau

from tracker import BadValue, policies
from tracker_torch.callback import Callback, Logs
from tracker_torch.loop import distributed
from tracker_torch.loop.learning_rate import set_all_rates
from tracker_torch.loop.loop import Loop
from tracker_torch.state import scheduler_state
from tracker_torch.state.serialization import named


class LRSchedulerCallback(Callback):
    """Call ``scheduler.step()`` after each epoch or batch; saved and restored with the training.

    An epoch's decision is ``scheduled``, with the learning rates before and after; for torch's
    ReduceLROnPlateau it is improved, waited or reduced, with its best value and wait.

    Args:
        scheduler: any scheduler; not to be stepped by the loop as well.
        per: ``"epoch"`` or ``"batch"``.
        monitor: for ReduceLROnPlateau the metric to hand to it; ``"val_loss"`` by default.
        verbose: 1 prints every change.

    A resumed run continues from what had moved; settings that changed in between, such as
    ReduceLROnPlateau's patience, are those of the new scheduler.

    Raises:
        BadValue: for what is not a scheduler, another ``per``, or ReduceLROnPlateau per batch.
    """

    logs_rates = True

    def __init__(
        self,
        scheduler: Any,
        per: Literal["epoch", "batch"] = "epoch",
        monitor: str | None = None,
        verbose: int = 0,
    ) -> None:
        if not all(hasattr(scheduler, name) for name in ("step", "state_dict", "optimizer")):
            raise BadValue(
                f"scheduler is {scheduler!r}: it must be one of torch.optim.lr_scheduler, made for "
                f"the optimizer: LRSchedulerCallback(CosineAnnealingLR(optimizer, T_max=50))."
            )
        self.plateau = isinstance(scheduler, ReduceLROnPlateau)
        if per not in ("epoch", "batch") or (self.plateau and per == "batch"):
            raise BadValue(
                f"per is {per!r}: it must be 'epoch' or 'batch', and 'epoch' for ReduceLROnPlateau."
            )
        self.scheduler, self.per, self.verbose = scheduler, per, verbose
        self.monitor = (monitor or "val_loss") if self.plateau else None
        self.batch_hooks = per == "batch"
        self._initial = scheduler_state.snapshot(scheduler.state_dict())
        self._before: float | None = None
        self._resumed_before: float | None = None
        self._best_epoch: int | None = None

    def set_loop(self, loop: Loop) -> None:
        """Have the scheduler saved with checkpoints, beside those that the loop has."""
        super().set_loop(loop)
        known = named(loop.scheduler)
        if any(scheduler is self.scheduler for scheduler in known.values()):
            return
        if "" in known:
            known = {"0": known[""]}
        loop.scheduler = {**known, str(len(known)): self.scheduler} if known else self.scheduler

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin; a resumed run without a backup gets the counters and rates that were recorded."""
        config = {
            "scheduler": type(self.scheduler).__name__,
            "per": self.per,
            **scheduler_state.settings(self._initial),
        }
        saved, carried = self.join(monitor=self.monitor, config=config)
        self._best_epoch = saved.get("best_epoch")
        self._resumed_before = carried.get("before") if self.loop.position.in_epoch else None
        if "moved" in carried:
            self._go_on(self._initial, carried["moved"])
        elif self.loop.restored and (self._moved() or not saved.get("moved")):
            self._keep_changed_settings()
        # Also where the weights came back, and the scheduler did not.
        elif saved:
            self._go_on_without_a_backup(saved)

    def _go_on(self, state: Any, change: Any) -> None:
        self.scheduler.load_state_dict(scheduler_state.merged(state, change))

    def _keep_changed_settings(self) -> None:
        """A checkpoint brought back the scheduler whole, with the settings it had then."""
        changed = distributed.share(list(self.policy.changed) if self.policy else [])
        mine = {name: self._initial[name] for name in changed if name in self._initial}
        if mine:
            self._go_on(self.scheduler.state_dict(), mine)

    def _go_on_without_a_backup(self, saved: Mapping[str, Any]) -> None:
        if saved.get("moved") is None:
            self.loop.warn(
                f"{type(self.scheduler).__name__} begins anew: its state is more than numbers and "
                f"text, and comes back with BackupAndRestore or training.load(path) only."
            )
            return
        self._go_on(self._initial, saved["moved"])
        set_all_rates(self.scheduler.optimizer, {"": saved.get("rates", [])})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the rate that the epoch begins with; one that is resumed in its middle began before that."""
        before, self._resumed_before = self._resumed_before, None
        self._before = self._rate() if before is None else before

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
            reason = policies.reasons.scheduled(epoch + 1, before, after)
            self._record("scheduled", reason, epoch, before, after)
        if self.verbose and after != before:
            name = type(self.scheduler).__name__
            self.loop.say(f"\nEpoch {epoch + 1}: {name} setting learning rate to {after}.")

    def _step_plateau(self, epoch: int, logs: Logs, before: float) -> None:
        value = self.watched(self.monitor, logs, epoch)
        monitor, reasons, best = self.monitor or "", policies.reasons, self._best()
        if value is None:
            self._record("skipped", reasons.missing(monitor, logs), epoch, before, before)
            return
        self.scheduler.step(value)
        after, waits = self._rate(), self.scheduler.num_bad_epochs
        if self._best() == value and value != best:
            reason = (
                reasons.first(monitor, value)
                if best is None
                else (reasons.improved(monitor, value, best, self._best_epoch))
            )
            self._best_epoch, verdict = epoch, "improved"
        else:
            reason = reasons.not_improved(monitor, value, best, self._best_epoch)
            verdict = "waited"
        if after != before:
            verdict, reason = "reduced", f"{reason}; {reasons.reduced(before, after)}"
        elif verdict == "waited":
            reason = f"{reason}; {reasons.waits(waits, self.scheduler.patience)}"
        self._record(verdict, reason, epoch, before, after, value=value, wait=waits)

    def _record(
        self, verdict: str, reason: str, epoch: int, before: float, after: float, **facts: Any
    ) -> None:
        rates = [float(group["lr"]) for group in self.scheduler.optimizer.param_groups]
        self.decide(
            verdict,
            reason=reason,
            epoch=epoch,
            best=self._best(),
            best_epoch=self._best_epoch,
            lr_before=before,
            lr_after=after,
            state={"moved": self._recordable(), "rates": rates, "best_epoch": self._best_epoch},
            **facts,
        )

    def _moved(self) -> Any:
        return scheduler_state.moved(self._initial, self.scheduler.state_dict())

    def _recordable(self) -> Any:
        try:
            return scheduler_state.recordable(self._moved())
        except TypeError:
            return None

    def _rate(self) -> float:
        return float(self.scheduler.optimizer.param_groups[0]["lr"])

    def _best(self) -> float | None:
        best = getattr(self.scheduler, "best", None)
        return best if best is not None and math.isfinite(best) else None

    def get_state(self) -> dict[str, Any]:
        """Return what of the scheduler has moved."""
        return {
            "moved": self._moved(),
            "before": self._before,
            "state": {"best_epoch": self._best_epoch},
        }
