"""BackupAndRestore: a training that was killed continues as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracker import BadValue, CheckpointError, RunError, TrackerError
from tracker.files import leftovers, save_file
from tracker_torch.callback import Callback, Logs
from tracker_torch.loop import distributed
from tracker_torch.loop.loop import Remembering
from tracker_torch.loop.notices import UNWRITABLE
from tracker_torch.loop.save_trigger import Trigger
from tracker_torch.state import gradients, groups, serialization


class BackupAndRestore(Callback):
    """Keep everything that a training consists of in one file, and begin with it where there is one.

    That is: models, their gradients, optimizers, scheduler, scaler, the random generators of every
    rank, epoch, step, and what the other callbacks remember (best weights included). A resumed training
    continues bit for bit where the hardware computes reproducibly. The epoch to continue at is that of
    the backup: what the run recorded beyond it is trained again, and superseded.

    The file is saved when nothing of an epoch is left to do: at the end of the body of
    ``training.epochs()``, or of ``on_epoch_end`` in a loop of your own.

    Args:
        backup_dir: a folder for this training alone; all ranks must see it.
        save_freq: ``"epoch"``, or a number of steps. A backup in the middle of an epoch continues in
            the middle: `Training.batches` passes over the batches that were done.
        double_checkpoint: also keep the backup before, for the case that this one is damaged.
        delete_checkpoint: delete the backup once the run has ended well.

    Raises:
        BadValue: for an empty ``backup_dir`` or another ``save_freq``.
        RunError, CheckpointError: when training begins: a resumed run has epochs, but its backup is
            gone, damaged or of other models. The run then keeps the status that it had.
    """

    order = 3
    restores = True

    def __init__(
        self,
        backup_dir: str | Path,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not str(backup_dir):
            raise BadValue("backup_dir is empty: pass a folder for this training alone.")
        self.backup_dir = Path(backup_dir).expanduser()
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self.trigger = Trigger(save_freq)
        self.batch_hooks = self.trigger.by_step and self.trigger.every > 0
        self.path = self.backup_dir / "latest.pt"
        self.previous = self.backup_dir / "previous.pt"
        self.ended = self.backup_dir / "ended"
        self._frozen_at_begin: list[str] = []

    @property
    def needs_model(self) -> bool:
        """Always: the weights are most of what it keeps."""
        return True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Bring back the training, and let the run continue at its epoch."""
        self.loop.position.watch_batches = self.trigger.by_step
        self._frozen_at_begin = groups.frozen(self.loop.model)
        if self.loop.main:
            self._clear()
        try:
            if distributed.share(self.path.is_file() or self.previous.is_file()):
                self._restore(self._read())
            elif (
                not (self.loop.restored or self.loop.is_next_phase)
                and distributed.share(self.run.first_epoch) > 0
            ):
                self._begin_again()
        except TrackerError as error:
            # Nothing was trained: the run stays what it was.
            self.run.withdraw(error)
            raise

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Back up in the middle of an epoch."""
        if self.trigger.at_step(self.loop.step):
            self._save(batch + 1)

    def on_epoch_close(self, epoch: int) -> None:
        """Back up after an epoch."""
        if self.trigger.at_epoch(epoch):
            self._save(None)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Have the backup deleted once the run has ended well: until then a kill needs it.

        A kill between the two leaves it behind, so it is marked first: only its own run takes it up.
        """
        if not self.delete_checkpoint or not self.loop.main:
            return
        if self.path.is_file() or self.previous.is_file():
            try:
                save_file(self.ended, lambda file: file.write_text(self.run.id))
            except UNWRITABLE as error:
                self.loop.forgive(error, self, f"{self.ended} could not be written")
        self.run.on_finish(self._finished)

    def _finished(self) -> None:
        if self.run.status in ("finished", "stopped_early"):
            self._delete()

    def _delete(self) -> None:
        # The mark comes last.
        for path in (self.path, self.previous, self.ended):
            path.unlink(missing_ok=True)
        if self.backup_dir.is_dir() and not any(self.backup_dir.iterdir()):
            self.backup_dir.rmdir()

    def _clear(self) -> None:
        """Delete what a kill has left: files without a name yet, and the backup of a run that ended."""
        cut_off, elsewhere = leftovers(self.backup_dir)
        # The run is ours: its earlier processes are gone, wherever they ran.
        if self.run.was_resumed:
            cut_off += elsewhere
        for path in cut_off:
            path.unlink(missing_ok=True)
        if (self.ended.is_file() and self.ended.read_text() != self.run.id) or (
            self.ended.is_file() and self.loop.is_next_phase
        ):
            self._delete()
        self.ended.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            payload = serialization.read(self.path)
        except CheckpointError as error:
            if not self.previous.is_file():
                raise
            self.loop.warn(f"{error} Continuing from the backup before it, {self.previous}.")
            payload = serialization.read(self.previous)
        if not serialization.is_whole(payload, self.path) or "callbacks" not in payload:
            raise CheckpointError(
                f"{self.path} is not a backup of this callback: give backup_dir a folder of its own."
            )
        return dict(payload)

    def _restore(self, payload: Mapping[str, Any]) -> None:
        loop, run = self.loop, self.run
        loop.settings.note()
        groups.rebuild(loop.model, loop.optimizer, payload.get("groups", {}))
        self._freeze_as(payload)
        for part in serialization.PARTS:
            self._bring_back(part, payload[part])
        if loop.main and run.recording and payload["run"] != run.id:
            loop.warn(
                f"{self.path} was made by run {payload['run']}: its training continues in run {run.id}. "
                f"To continue that run pass resume={payload['run']!r}; to begin anew, delete the folder."
            )
        loop.step, loop.epoch, loop.restored = payload["step"], payload["epoch"], True
        loop.phase_begin = payload.get("phase_begin", 0)
        loop.settings.took_back(serialization.PARTS, payload.get("settings"))
        batch = payload["batch"]
        # A loop of one's own cannot pass over batches.
        begins_again = batch is not None and payload["position"]["began"] is None
        if begins_again and payload.get("epoch_step") is not None:
            loop.step = payload["epoch_step"]
        if batch is None:
            run.rewind(loop.epoch + 1)
        else:
            run.rewind(loop.epoch, None if begins_again else payload.get("kept"))
        accumulated = payload.get("gradients", ())
        positions = payload.get("positions") or [payload["position"]]
        # What the body does before its batches, such as zero_grad(), must not reach them.
        loop.position.load(
            positions[min(distributed.rank(), len(positions) - 1)],
            batch,
            lambda: gradients.restore(loop.model, accumulated),
        )
        if batch is None:
            gradients.restore(loop.model, accumulated)
        elif not begins_again:
            loop.rates_used.load(payload.get("rates", {}))
            loop.accumulation.load(payload.get("accumulation", {}))
        saved = {name: list(states) for name, states in payload["callbacks"].items()}
        if begins_again:
            saved.pop("BaseLogger", None)
        for callback in loop.callbacks:
            states = saved.get(_key(callback))
            if states and (remembered := states.pop(0)) is not None:
                callback.set_state(remembered)
        ranks = payload["rng"]
        serialization.set_rng_state(ranks[min(distributed.rank(), len(ranks) - 1)])

    def _freeze_as(self, payload: Mapping[str, Any]) -> None:
        """Train the parameters that were trained at the backup, where the script begins as it did before."""
        if "frozen" not in payload:
            return
        if self._frozen_at_begin == payload["frozen_at_begin"]:
            groups.freeze(self.loop.model, payload["frozen"])
        elif self._frozen_at_begin != payload["frozen"]:
            self.loop.warn(
                f"run {self.run.name} continues with other parameters frozen than at its backup, as the "
                f"script says now: {', '.join(self._frozen_at_begin) or 'none'}."
            )

    def _bring_back(self, part: str, saved: Any) -> None:
        try:
            serialization.load_state(getattr(self.loop, part), saved, part)
        except CheckpointError as error:
            if part != "scheduler":
                raise
            self.loop.warn(
                f"{error} An LRSchedulerCallback continues by itself, the others begin anew."
            )

    def _begin_again(self) -> None:
        """The run has epochs, but their weights are nowhere: it was killed before the first backup."""
        done = self.run.first_epoch
        if done > 1 and not self.trigger.by_step:
            raise RunError(
                f"run {self.run.name} has {done} epochs, but there is no backup in {self.backup_dir} "
                f"(one is deleted when a run ends well, unless delete_checkpoint=False). "
                f"Continue from a checkpoint with training.load(path), or start another run."
            )
        self.run.rewind(0)
        self.loop.epoch = 0

    def _save(self, batch: int | None) -> None:
        payload = serialization.collect(self.loop) | {
            "rng": distributed.gather(serialization.rng_state()),
            "batch": batch,
            "run": self.run.id,
            "positions": (positions := distributed.gather(self.loop.position.as_dict())),
            "position": positions[0],
            "phase_begin": self.loop.phase_begin,
            "groups": groups.of_optimizers(self.loop.model, self.loop.optimizer),
            "frozen": groups.frozen(self.loop.model),
            "frozen_at_begin": self._frozen_at_begin,
            "accumulation": self.loop.accumulation.as_dict(),
            "rates": self.loop.rates_used.as_dict(),
            "gradients": gradients.of_ranks(self.loop.model),
            "callbacks": self._remembered(),
        }
        # Last: nothing that a resumed training does not repeat is missing from the record then.
        payload["kept"] = self.run.commit(self.loop.step)
        if not self.loop.main:
            return
        try:
            if self.double_checkpoint and self.path.is_file():
                self.path.replace(self.previous)
            save_file(self.path, lambda file: serialization.write(payload, file))
        except UNWRITABLE as error:
            self.loop.forgive(error, self, f"{self.path} could not be saved")

    def _remembered(self) -> dict[str, list[Any]]:
        remembered: dict[str, list[Any]] = {}
        for callback in self.loop.callbacks:
            remembered.setdefault(_key(callback), []).append(callback.get_state())
        return remembered


def _key(callback: Remembering) -> str:
    """What a run finds a policy again by: kind and monitor; equals are told apart by their place."""
    monitor = getattr(callback, "monitor", None)
    return f"{callback.kind} {monitor}" if isinstance(monitor, str) else callback.kind
