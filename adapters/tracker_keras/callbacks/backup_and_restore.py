"""BackupAndRestore: Keras' own, whole at every moment."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

import tracker
from tracker.files import inspect_file, sync_folder
from tracker_keras.session import best_weights
from tracker_keras.session.base import Logs, Recorded
from tracker_keras.session.room import require_room, weights_size
from tracker_keras.session.session import Session

COMPLETE = ("finished", "stopped_early")

log = logging.getLogger("tracker")


class BackupAndRestore(Recorded, keras.callbacks.BackupAndRestore):
    """Back up the training each epoch, and resume from the backup after a kill.

    Arguments, attributes and file names are those of ``keras.callbacks.BackupAndRestore``. Keras
    writes weights and epoch in place, one after the other; here both are new files with a hash that
    ties them together, so that a kill or a power loss leaves the old pair or the new one, and a
    damaged file is noticed. The weights of an epoch are those at this callback's place in the list, as
    in Keras; they become the backup once the last of our callbacks has judged the epoch, and what those
    set (counts, learning rate) is in the run, so that their order does not matter. The best weights that
    ``EarlyStopping(restore_best_weights=True)`` holds in memory are backed up as well. With
    ``delete_checkpoint`` the folder goes when the run has its final status: inside
    ``with tracker.start_run()`` at the end of that block. If a backup cannot be saved, for instance
    because the disk is full, ``fit`` ends only if it is the first one; otherwise the previous backup stays, and a
    warning says so.
    """

    _tracker_at_epoch_end = False
    _tracker_is_behind = False

    @property
    def _tracker_local(self) -> bool:
        return "://" not in str(self.backup_dir)

    @property
    def _tracker_next_weights_path(self) -> str:
        return str(Path(self.backup_dir) / "next.weights.h5")

    @property
    def _tracker_next_metadata_path(self) -> str:
        return f"{self._training_metadata_path}.next"

    def tracker_join(self, session: Session) -> None:
        """Take part in a recording."""
        super().tracker_join(session)
        self._tracker_kept: dict[str, Any] = {}

    def _tracker_begin(self, logs: Logs) -> None:
        if self._tracker_local:
            folder = Path(self.backup_dir)
            for deleted in folder.parent.glob(f".{folder.name}.*.deleted"):
                shutil.rmtree(deleted, ignore_errors=True)
        super()._tracker_begin(logs)
        self._tracker_refuse_to_begin_anew()

    def _tracker_refuse_to_begin_anew(self) -> None:
        """Train no resumed run from nothing: with its backup gone, every epoch would be superseded.

        Raises:
            tracker.RunError: the run stays as it was.
        """
        session = self._tracker_session
        if session is None or session.by_hand or not session.resuming:
            return
        told = "initial_epoch" in session.arguments or self.model._initial_epoch
        done = session.run.first_epoch
        before_the_first = done < 2 or self.save_freq != "epoch"  # a kill may come that early
        if told or before_the_first:
            return
        error = tracker.RunError(
            f"Run {session.run.name} has {done} epochs, but there is no backup in {self.backup_dir} "
            f"(one is deleted when a run ends well, unless delete_checkpoint=False). Load a checkpoint "
            f"and pass initial_epoch={done} to fit, or start another run."
        )
        session.run.withdraw(error)
        raise error

    def _load_model(self) -> None:
        if self._tracker_local:
            self._tracker_put_in_place()
            self._tracker_pass_over_ended()
        super()._load_model()

    def _tracker_pass_over_ended(self) -> None:
        """Delete the backup of a training that came to its end, unless its own run is resumed."""
        ended = _read(Path(self._training_metadata_path)).get("ended")
        session = self._tracker_session
        resumed = session is not None and session.resuming and session.run.id == ended
        if ended is not None and not resumed:
            self._tracker_remove()

    def _tracker_put_in_place(self) -> None:
        """Put a pair of weights and metadata that belong together in their places.

        Raises:
            OSError: there are weights, but damaged ones. Keras then takes the copies that
                ``double_checkpoint`` has kept.
        """
        weights = [Path(self._weights_path), Path(self._tracker_next_weights_path)]
        records = [Path(self._training_metadata_path), Path(self._tracker_next_metadata_path)]
        hashes = {path: _read(path).get("sha256") for path in records}
        if not any(hashes.values()):
            return  # no backup, or one that Keras' own callback has written
        for record in records:
            for path in weights:
                file = inspect_file(path)
                if file is not None and file.sha256 == hashes[record]:
                    path.replace(weights[0])
                    record.replace(records[0])
                    return
        if any(path.exists() for path in weights):
            raise OSError(
                f"The backup in {self.backup_dir} is damaged: its weights are not those that were "
                f"saved. Delete the folder to start afresh, or put a copy of it in its place."
            )
        for path in records:
            path.unlink(missing_ok=True)

    def _save_model(self) -> None:
        if not self._tracker_local:
            super()._save_model()
            return
        with self._tracker_keeping_the_last():
            self._tracker_save()

    def _tracker_save(self) -> None:
        last = Path(self._weights_path)
        require_room(
            last.parent, last.stat().st_size if last.exists() else weights_size(self.model)
        )
        saved = tracker.save_file(
            self._tracker_next_weights_path,
            lambda path: self.model.save_weights(filepath=str(path), overwrite=True),
        )
        metadata = {
            "epoch": self._current_epoch,
            "batch": self._last_batch_seen,
            "sha256": saved.sha256,
        }
        session = self._tracker_session
        if session is None or not self._tracker_at_epoch_end:
            self._tracker_publish(metadata, None)
            return
        done = self._current_epoch - 1
        # A kill before the last of our callbacks has judged the epoch repeats it.
        session.epochs.when_complete(lambda: self._tracker_complete(metadata, done))

    def _tracker_complete(self, metadata: dict[str, Any], done: int) -> None:
        with self._tracker_keeping_the_last():
            self._tracker_publish(metadata, done)

    @contextmanager
    def _tracker_keeping_the_last(self) -> Iterator[None]:
        """Train on where a backup cannot be saved and there is an earlier one, which stays; say each change once."""
        try:
            yield
        except Exception as error:  # h5py has no class for a full disk
            kept = _read(Path(self._training_metadata_path)).get("epoch")
            if kept is None:
                raise
            if not self._tracker_is_behind:
                log.warning(
                    "local-tracker: the backup in %s could not be saved (%s: %s). Training continues; "
                    "until there is another backup, it would resume from epoch %s after a kill.",
                    self.backup_dir, type(error).__name__, error, kept,
                )  # fmt: skip
            self._tracker_is_behind = True

    def _tracker_publish(self, metadata: dict[str, Any], done: int | None) -> None:
        """Make the weights that were written last the backup; ``done``: the epoch that they end."""
        folder = Path(self.backup_dir)
        needed: set[str] = set()
        if self._tracker_session is not None:
            # A training that continues from here has what was saved before.
            self._tracker_session.run.wait_for_saves()
            needed = best_weights.keep(folder, self._tracker_session, self._tracker_kept, done)
        if self.double_checkpoint:
            _copy(self._weights_path, self._prev_weights_path)
            _copy(self._training_metadata_path, self._prev_training_metadata_path)
        tracker.save_file(
            self._tracker_next_metadata_path, lambda path: path.write_text(json.dumps(metadata))
        )
        _move(self._tracker_next_weights_path, self._weights_path)
        _move(self._tracker_next_metadata_path, self._training_metadata_path)
        best_weights.sweep(folder, needed)
        if self._tracker_is_behind:
            self._tracker_is_behind = False
            log.warning("local-tracker: the backup in %s is saved again.", self.backup_dir)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the epoch's clock; a backup within the epoch is one of this epoch."""
        # Keras goes by the last epoch that this instance has seen end.
        self._current_epoch = epoch
        super().on_epoch_begin(epoch, logs)

    def _tracker_judge(self, epoch: int, logs: Logs) -> None:
        # Another callback may exchange the weights until the next epoch begins: they are taken here.
        self._tracker_at_epoch_end = True
        try:
            super()._tracker_judge(epoch, logs)
        finally:
            self._tracker_at_epoch_end = False

    def _tracker_end(self, logs: Logs) -> None:
        session, path = self._tracker_session, Path(self._training_metadata_path)
        metadata = _read(path)
        if session is None or not self.delete_checkpoint or not metadata or not self._tracker_local:
            super()._tracker_end(logs)
            return
        metadata["ended"] = session.run.id
        tracker.save_file(path, lambda file: file.write_text(json.dumps(metadata)))
        run = session.run
        run.on_finish(lambda: self._tracker_remove() if run.status in COMPLETE else None)

    def _tracker_remove(self) -> None:
        """Delete the folder; a kill on the way leaves it whole, or under a name that is not read."""
        folder = Path(self.backup_dir).absolute()
        gone = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.deleted")
        try:
            folder.rename(gone)
        except OSError:
            gone = folder
        if gone.is_symlink():
            gone.unlink()
        else:
            shutil.rmtree(gone, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _copy(source: str, target: str) -> None:
    if Path(source).exists():
        tracker.save_file(target, lambda path: shutil.copyfile(source, path))


def _move(source: str, target: str) -> None:
    Path(source).replace(target)
    sync_folder(Path(target).parent)
