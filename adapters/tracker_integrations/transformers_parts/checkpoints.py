"""SavedFolders: the checkpoints of a training, which the Trainer saves, deletes, and loads at the end."""

from __future__ import annotations

import math
from pathlib import Path

from transformers import TrainingArguments
from transformers.trainer_callback import TrainerState

import tracker
from tracker.policies import TRANSFORMERS, reasons
from tracker_integrations.transformers_parts.training import Training


class SavedFolders:
    """The folders that a training has saved and not deleted, those of an earlier attempt included."""

    def __init__(self, training: Training, args: TrainingArguments) -> None:
        self._training, self._args = training, args
        run = training.recording.run
        earlier = run.checkpoints() if run.attempt > 1 else []
        self._folders = {checkpoint.path for checkpoint in earlier}

    def note_saved(self, state: TrainerState) -> None:
        """Register the folder of this step, and note those that were deleted for it."""
        training, step = self._training, state.global_step
        folder = self._folder(state)
        if folder is None or not training.recording.is_open:
            return
        metrics = training.evaluated if training.evaluated_at == step else {}
        value = metrics.get(training.monitor or "")
        policy, epoch = self._policy(), training.epoch or 0
        training.recording.saved(
            folder, epoch=epoch, step=step, metrics=metrics, monitor=training.monitor,
            value=value, policy=policy,
        )  # fmt: skip
        self._folders.add(folder)
        training.recording.decide(
            policy,
            "saved",
            epoch=epoch,
            step=step,
            reason=self._why_saved(value, is_best=state.best_metric == value),
            value=value,
            best=state.best_metric,
            best_epoch=training.best_epoch,
            path=folder,
        )
        self.note_deleted(state)

    def note_deleted(self, state: TrainerState) -> None:
        """Note the folders that are gone: ``save_total_limit`` deletes the oldest, and never the best."""
        training = self._training
        for folder in sorted(folder for folder in self._folders if not folder.is_dir()):
            self._folders.remove(folder)
            training.recording.deleted(folder)
            if self._args.save_total_limit is None:
                continue  # the Trainer deletes none: somebody else did
            kept = f"not among the {self._args.save_total_limit} that save_total_limit keeps"
            training.recording.decide(
                self._policy(),
                "pruned",
                epoch=training.epoch or 0,
                step=state.global_step,
                reason=f"{kept}, and not the best" if state.best_model_checkpoint else kept,
                path=folder,
            )

    def note_restored(self, state: TrainerState) -> None:
        """Record that the best model was loaded."""
        training, best = self._training, state.best_model_checkpoint
        if not self._args.load_best_model_at_end or best is None:
            return
        at = training.best_epoch
        reason = reasons.restored(training.monitor or "", state.best_metric, at)
        training.recording.decide(
            self._policy(),
            "restored",
            epoch=training.epoch or 0,
            step=state.global_step,
            reason=f"{reason}; from {Path(best).name}",
            best=state.best_metric,
            best_epoch=at,
            path=best,
        )

    def _folder(self, state: TrainerState) -> Path | None:
        """Return the checkpoint of this step; each trial of a search has a folder of its own for them."""
        name, output = f"checkpoint-{state.global_step}", Path(self._args.output_dir)
        folders = [output / name]
        if state.is_hyper_param_search:
            folders = sorted(output.glob(f"*/{name}"), key=lambda folder: folder.stat().st_mtime_ns)
        existing = [folder for folder in folders if folder.is_dir()]
        return existing[-1].absolute() if existing else None

    def _policy(self) -> tracker.Policy:
        strategy, limit = self._args.save_strategy.value, self._args.save_total_limit
        return self._training.recording.policy(
            "Trainer",
            "ModelCheckpoint",
            monitor=self._training.monitor,
            config={
                "class": "Trainer",
                "save_strategy": strategy,
                "save_best_only": strategy == "best",
                "save_total_limit": limit,
                "keep": limit if limit is not None and limit > 0 else None,
                "load_best_model_at_end": self._args.load_best_model_at_end,
                "mode": self._training.mode,
            },
            rules=TRANSFORMERS,
        )

    def _why_saved(self, value: float | None, *, is_best: bool) -> str:
        when, monitor = f"save_strategy is {self._args.save_strategy.value}", self._training.monitor
        if value is None or math.isnan(value):
            return f"{when}; there is no {monitor} at this step" if monitor else when
        shown = f"{value:#.4g}".rstrip(".")
        return f"{when}; {monitor} {shown} is {'' if is_best else 'not '}the best so far"
