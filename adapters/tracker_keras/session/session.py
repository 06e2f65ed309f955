"""A training that is being recorded: its run, who takes part, and where a resumed one continues."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import keras

import tracker
from tracker.policies import reasons
from tracker_keras.session.capture import facts, size
from tracker_keras.session.epochs import Epochs
from tracker_keras.session.fit_hook import Fit, beginning_training
from tracker_keras.session.values import set_learning_rate, steps_taken

RULES = "keras-" + ".".join(keras.__version__.split(".")[:2])


class Member(keras.callbacks.Callback):
    """A callback that takes part in sessions."""

    tracker_kind: ClassVar[str] = ""
    """Name of its policy in the record; empty where the callback decides nothing."""
    tracker_settings: ClassVar[tuple[str, ...]] = ()
    """Attributes that are recorded as the policy's configuration."""

    _tracker_session: Session | None = None
    _tracker_policy: tracker.Policy | None = None

    def tracker_join(self, session: Session) -> None:
        """Take part in a recording."""
        self._tracker_session = session
        self._tracker_policy = None
        if self.tracker_kind:
            monitor = getattr(self, "monitor", None)
            self._tracker_policy = session.run.add_policy(
                self.tracker_kind, monitor=monitor, config=self.tracker_config(), rules=RULES
            )

    def tracker_leave(self) -> None:
        """Take no part any more."""
        self._tracker_session = None
        self._tracker_policy = None

    def tracker_config(self) -> dict[str, Any]:
        """Return the callback's settings as they are recorded."""
        return {name: getattr(self, name) for name in self.tracker_settings}

    def tracker_saved_state(self) -> dict[str, Any] | None:
        """Return what an earlier attempt of this run remembered before the epoch at which it continues."""
        return None if self._tracker_policy is None else self._tracker_policy.saved_state

    def tracker_resume(self, epoch: int) -> None:
        """Continue at ``epoch`` as if there had been no interruption; only in a resumed run."""

    def tracker_continue(self, epoch: int) -> None:
        """Begin at ``epoch`` in a run that an earlier training of this process has recorded into."""

    def tracker_has_stopped(self) -> bool:
        """Say whether it had already ended the training that is resumed."""
        return False


class Session:
    """One `fit`, or one loop that calls the callbacks by hand, and the run that it belongs to.

    Attributes:
        run: the run.
        model: what is being trained.
        arguments: those of ``fit``; none in a loop by hand.
        by_hand: whether there is no ``fit`` that tells how the training ends.
        resuming: whether it continues what an earlier process has recorded.
        epochs: what records them.
        first_epoch: where this training starts, once that is known.
    """

    def __init__(
        self, fit: Fit, start: Mapping[str, Any], params: Mapping[str, Any] | None
    ) -> None:
        self.model = fit.model
        self.arguments: Mapping[str, Any] = fit.arguments or {}
        self.by_hand = fit.arguments is None
        self.first_epoch: int | None = None
        self._members: list[weakref.ref[Member]] = []
        self._left = 0
        self._turns = 0
        self._stopped = False
        self._ended = False
        self._folders: list[str] = []
        self._initial_epochs: list[Any] = []
        self._claim = tracker.claim_run(self, "TrackerCallback", **start)
        for note in self._claim.notes:
            warnings.warn(note, stacklevel=2)
        self.run = self._claim.run
        if self._claim.started:
            self.run.at_exit = ("interrupted", "the process ended before the training did")
        self._recorded_to = self.run.trained.last_epoch
        self.resuming = self.run.attempt > 1 and self._recorded_to is None
        self.epochs = Epochs(self.run, self.model)
        if not self.by_hand:
            self._make_room(self._initial_epoch())
        found = facts(self.model, params, self.arguments)
        self.run.capture(**found)
        self._unbuilt = "parameters" not in found.get("model", {"parameters": None})
        self._finalizer = weakref.finalize(self, _end_dropped, self._claim)
        self._finalizer.atexit = False

    @property
    def members(self) -> list[Member]:
        """The callbacks that take part, in Keras' order."""
        return [one for ref in self._members if (one := ref()) is not None]

    @property
    def last_epoch(self) -> int | None:
        """The last epoch that was trained, by this process or the one before; None for none yet."""
        if self.epochs.current is not None:
            return self.epochs.current
        return self.first_epoch - 1 if self.first_epoch else None

    @property
    def is_open(self) -> bool:
        """Whether the run still records this training."""
        return not self._ended and not self.run.finished

    def has(self, callback: object) -> bool:
        """Whether a callback takes part."""
        return any(one is callback for one in self.members)

    def is_awaiting(self, callback: object) -> bool:
        """Whether a callback that begins joins this training, rather than the next one."""
        return self.is_open and not self.has(callback)

    def add(self, callback: Member) -> None:
        """Let a callback take part; it may add its policy."""
        if not self.has(callback):
            self._members.append(weakref.ref(callback))
            callback.tracker_join(self)

    def note_folder(self, folder: str) -> None:
        """Register a folder of TensorBoard's with the run."""
        self._folders.append(folder)
        self.run.capture(tensorboard={"folders": self._folders})

    # How it begins

    def begin(self, callbacks: Sequence[Any]) -> None:
        """After the ``on_train_begin`` of all ``callbacks``: decide where `fit` starts."""
        if self.by_hand:
            return
        restores = any(isinstance(one, keras.callbacks.BackupAndRestore) for one in callbacks)
        if self.resuming and not restores and "initial_epoch" not in self.arguments:
            self._continue_untold()
        self._start_at(self._initial_epoch())
        if self.resuming and any(one.tracker_has_stopped() for one in self.members):
            self._set_initial_epoch((self.members[0].params or {}).get("epochs") or 0)

    def _continue_untold(self) -> None:
        """Let `fit` start behind the last recorded epoch, where nothing else says where to start."""
        epoch = self.run.first_epoch
        self._set_initial_epoch(epoch)
        if epoch > 0 and steps_taken(self.model) == 0:
            warnings.warn(
                f"Run {self.run.name} continues at epoch {epoch}, but the model has not been trained: "
                f"its optimizer has taken no step. Load a checkpoint before fit, or add "
                f"BackupAndRestore to the callbacks.",
                stacklevel=2,
            )

    def _initial_epoch(self) -> int:
        """Return where Keras is going to start: a restored epoch comes before the argument."""
        restored = getattr(self.model, "_initial_epoch", None)
        return int(restored or self.arguments.get("initial_epoch") or 0)

    def _set_initial_epoch(self, epoch: int) -> None:
        self._initial_epochs.append(self.model._initial_epoch)
        self.model._initial_epoch = epoch

    def _start_at(self, epoch: int) -> None:
        """Take ``epoch`` for the first one of this training, and give callbacks their state back."""
        self.first_epoch = epoch
        self._make_room(epoch)
        if self.run.trained.last_epoch is None and epoch != self.run.first_epoch:
            self.run.rewind(epoch)
        if self.resuming:
            self._restore_rate()
            for one in self.members:
                one.tracker_resume(epoch)

    def _make_room(self, epoch: int) -> None:
        """Let a second `fit` of one run supersede the epochs it repeats, rather than add to them."""
        trained = self.run.trained
        if trained.last_epoch is not None and epoch <= trained.last_epoch:
            self.run.rewind(epoch)
            trained.last_epoch = epoch - 1

    def _restore_rate(self) -> None:
        """Set the learning rate after the last of all decisions: several callbacks may change it."""
        saved = [one.tracker_saved_state() for one in self.members]
        rated = [one for one in saved if one is not None and one.get("lr") is not None]
        if rated:
            last = max(rated, key=lambda one: (one["epoch"], one["turn"]))
            set_learning_rate(self.model, last["lr"])

    # Its epochs and decisions

    def begin_epoch(self, epoch: int, callback: Any) -> None:
        """Before a callback's ``on_epoch_begin``; the first one to come starts the epoch."""
        if epoch != self.epochs.current:
            self.epochs.complete()
            if self.epochs.current is None:
                self._begin_at(epoch)
            self.epochs.begin(epoch)
        self.epochs.watch(callback)

    def _begin_at(self, epoch: int) -> None:
        if epoch != self.first_epoch:
            self._start_at(epoch)
        before = self._recorded_to
        if before is None:
            return
        for one in self.members:
            one.tracker_continue(epoch)
        if epoch <= before:
            warnings.warn(
                f"fit begins at epoch {epoch} (0-based), and run {self.run.name} has recorded epochs up "
                f"to {before}: those that are repeated are superseded, kept but not shown. To add k "
                f"epochs to them pass initial_epoch={before + 1}, epochs={before + 1} + k to fit; for "
                f"a run each, call fit outside of this run.",
                stacklevel=2,
            )

    @contextmanager
    def epoch_end(self, epoch: int, logs: dict[str, Any] | None, callback: Any) -> Iterator[None]:
        """Around a callback's ``on_epoch_end``: the first one records the epoch, the last completes it."""
        if self.is_open and self.epochs.end(epoch, logs):
            self.run.trained.last_epoch = epoch
            if self._unbuilt and getattr(self.model, "built", False):
                self._unbuilt = False
                self.run.capture(**size(self.model))
        yield
        if self.members and self.members[-1] is callback:
            self.epochs.complete()

    def decide(
        self,
        policy: tracker.Policy,
        verdict: str,
        *,
        epoch: int,
        state: Mapping[str, Any],
        **facts: Any,
    ) -> None:
        """Record a decision with the state after it, numbered: later attempts count after earlier ones."""
        if self.is_open:
            self._turns += 1
            numbered = {"epoch": epoch, "turn": [self.run.attempt, self._turns], **state}
            policy.decide(verdict, epoch=epoch, state=numbered, **facts)

    def note_stop(self, reason: str) -> None:
        """Note that a callback has stopped training, and why."""
        self._stopped = True
        self.run.note_stop(reason)

    # How it ends

    def leave(self) -> None:
        """After a callback's ``on_train_end``: in a loop by hand the last one ends the recording."""
        self._left += 1
        if self.by_hand and self._left >= len(self._members):
            self.end(None)

    def end(self, error: BaseException | None) -> None:
        """End the recording: ``error`` is what `fit` raised."""
        if self._ended:
            return
        try:
            if error is None:
                self.epochs.complete()
                self._note_unexplained_stop()
            else:
                self.epochs.amend()
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._close()
            if self._claim.started and error is not None:
                self.run.fail(error)
            elif self._claim.started:
                self.run.finish()
            self._claim.release()

    def _note_unexplained_stop(self) -> None:
        if not self._stopped and getattr(self.model, "stop_training", False):
            by = "a callback that is not recorded"
            self.run.note_stop(reasons.stop_was_set(by, self.epochs.current))

    def is_left(self) -> bool:
        """Whether a loop by hand was left: its model or its callbacks begin another training."""
        training = beginning_training()
        if training is None or training.session is self or self._ended or not self.by_hand:
            return False
        same_model = self.model is not None and self.model is training.model
        return same_model or any(self.has(callback) for callback in training.callbacks or ())

    def close_left(self) -> None:
        """End the recording of a training of which nobody knows how it ended."""
        self._close()
        if self._claim.started:
            self.run.finish("interrupted", reason="training was left before it ended")
        self._claim.release()

    def _close(self) -> None:
        self._ended = True
        self._finalizer.detach()
        self.epochs.close()
        if self._initial_epochs:
            self.model._initial_epoch = self._initial_epochs[0]
        for one in self.members:
            one.tracker_leave()


def _end_dropped(claim: tracker.Claim[tracker.Run]) -> None:
    if claim.started and not claim.run.finished:
        claim.run.finish("interrupted", reason="the callbacks were dropped before on_train_end")
    claim.release()
