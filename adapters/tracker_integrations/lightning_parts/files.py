"""Lightning's ModelCheckpoint, watched: which files it has saved and deleted, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tracker
from tracker.policies import LIGHTNING, reasons
from tracker_integrations.lightning_parts.kinds import settings
from tracker_integrations.recording import Recording

SETTINGS = (
    "mode",
    "save_top_k",
    "save_last",
    "save_weights_only",
    "_every_n_epochs",
    "_every_n_train_steps",
)
Signature = tuple[int, ...]


@dataclass(frozen=True)
class Saved:
    """A file that was registered: what it was then, and what it was saved with."""

    signature: Signature
    epoch: int | None
    value: float | None


class WatchedFiles:
    """One ModelCheckpoint, and the files of it that are registered.

    Args:
        recording: the training.
        callback: Lightning's.
        key: which of the trainer's callbacks it is.
    """

    def __init__(self, recording: Recording, callback: Any, key: int) -> None:
        self._recording, self._callback = recording, callback
        config = settings(callback, SETTINGS)
        config["keep"] = None if callback.save_top_k == -1 else callback.save_top_k
        self._policy = recording.policy(
            ("ModelCheckpoint", key),
            "ModelCheckpoint",
            monitor=callback.monitor,
            config=config,
            rules=LIGHTNING,
        )
        # What lies there before this training, it has not saved; an earlier attempt may have.
        earlier = {one.path: one.epoch for one in recording.run.checkpoints()}
        self._files = {
            path: Saved(mark, earlier.get(Path(path).absolute()), self._value(score))
            for path, score in self._paths().items()
            if (mark := _signature(path))
        }
        self._saved_at: int | None = None

    def _paths(self) -> dict[str, Any]:
        """Return the files that it names, each with its score; the others have None, and ``save_last``'s is last."""
        callback = self._callback
        newest = getattr(callback, "_last_checkpoint_saved", "")
        scores: dict[str, Any] = dict.fromkeys((callback.best_model_path, newest))
        scores.update(callback.best_k_models)
        last = callback.last_model_path
        named = {path: score for path, score in scores.items() if path and path != last}
        return {**named, **({last: scores.get(last)} if last else {})}

    def _value(self, score: Any) -> float | None:
        return None if score is None else tracker.number(score, self._callback.monitor or "score")

    def look(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        """Register what it has saved since the last look, and note what it has deleted."""
        for path, score in self._paths().items():
            mark = _signature(path)
            known = self._files.get(path)
            if mark is not None and (known is None or known.signature != mark):
                self._saved(path, mark, epoch, step, metrics, score)
        for path in [path for path in self._files if _signature(path) is None]:
            self._deleted(path, epoch, step)

    def _saved(
        self,
        path: str,
        mark: Signature,
        epoch: int,
        step: int,
        metrics: Mapping[str, float],
        score: Any,
    ) -> None:
        monitor = self._callback.monitor
        value = metrics.get(monitor) if monitor is not None else None
        if score is not None:
            value = self._value(score)
        self._files[path], self._saved_at = Saved(mark, epoch, value), epoch
        self._recording.saved(
            path,
            epoch=epoch,
            step=step,
            metrics=metrics,
            monitor=monitor,
            value=value,
            policy=self._policy,
        )
        self._decide("saved", epoch, step, self._why_saved(path, value), value, path)

    def _why_saved(self, path: str, value: float | None) -> str:
        callback = self._callback
        if callback.monitor is not None and path == callback.last_model_path:
            return "save_last keeps the newest state, whatever its value"
        if callback.monitor is None or value is None or callback.save_top_k == -1:
            return reasons.every_save()
        return reasons.among_best(callback.monitor, value, callback.save_top_k)

    def _deleted(self, path: str, epoch: int, step: int) -> None:
        gone = self._files.pop(path)
        if not self._recording.deleted(path):
            return
        callback = self._callback
        reason = reasons.pruned_by_age(max(1, callback.save_top_k))
        if callback.monitor is not None:
            worst = callback.best_k_models.get(callback.kth_best_model_path)
            at = self._files.get(callback.kth_best_model_path)
            reason = reasons.pruned_by_rank(
                callback.monitor,
                gone.value,
                callback.save_top_k,
                None if worst is None else tracker.number(worst, callback.monitor),
                None if at is None else at.epoch,
            )
        self._decide("pruned", epoch, step, reason, gone.value, path)

    def end_epoch(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        """Record that an epoch was judged by its own metrics, and not saved."""
        callback, every = self._callback, getattr(self._callback, "_every_n_epochs", 0)
        value = metrics.get(callback.monitor or "")
        if self._saved_at == epoch or value is None or every < 1 or (epoch + 1) % every:
            return
        if callback.save_top_k < 1:
            return
        kth = callback.best_k_models.get(callback.kth_best_model_path)
        at = self._files.get(callback.kth_best_model_path)
        reason = reasons.pruned_by_rank(
            callback.monitor,
            value,
            callback.save_top_k,
            None if kth is None else tracker.number(kth, callback.monitor),
            None if at is None else at.epoch,
        )
        self._decide("skipped", epoch, step, reason, value, None)

    def _decide(
        self, verdict: str, epoch: int, step: int, reason: str, value: float | None, path: Any
    ) -> None:
        best = self._callback.best_model_score
        at = self._files.get(self._callback.best_model_path)
        self._recording.decide(
            self._policy,
            verdict,
            epoch=epoch,
            step=step,
            reason=reason,
            value=value,
            best=None if best is None else tracker.number(best, "best_model_score"),
            best_epoch=None if at is None or best is None else at.epoch,
            path=path,
            cause="save-last" if path and path == self._callback.last_model_path else None,
        )


def _signature(path: str) -> Signature | None:
    """Return what tells a file or a folder from another one of its name; None for a link, and where there is none."""
    target = Path(path)
    if target.is_symlink() or not target.exists():
        return None
    files = [target, *target.rglob("*")] if target.is_dir() else [target]
    stats = [file.stat() for file in files]
    newest = max(stat.st_mtime_ns for stat in stats)
    return stats[0].st_ino, sum(stat.st_size for stat in stats), newest
