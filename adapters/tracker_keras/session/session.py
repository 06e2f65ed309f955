"""A training that is being recorded: its run, who takes part, and where a resumed one goes on."""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any

import tracker
from tracker.policies import reasons
from tracker_keras.session.capture import facts, size
from tracker_keras.session.epochs import Epochs
from tracker_keras.session.fit_history import trained
from tracker_keras.session.fit_hook import Call, call_of, calls
from tracker_keras.session.participants import announced
from tracker_keras.session.values import set_learning_rate, steps_taken

if TYPE_CHECKING:
    from tracker_keras.session.base import Recorded

_open: weakref.WeakValueDictionary[int, Session] = weakref.WeakValueDictionary()


def join(callback: Recorded) -> Session:
    """Let a callback whose training begins take part in its recording; the first one starts it."""
    model = getattr(callback, "_model", None)
    key = callback if model is None else model
    call = call_of(key)
    session = _open.get(id(key))
    again = session is not None and call is None and session.has(callback)
    if session is not None and (session.call is not call or again):
        session.abandon("training began anew before this one had ended")
        session = None
    if session is None:
        session = Session(key, callback, call)
    session.add(callback)
    return session


class Session:
    """One `fit`, or one loop that calls the callbacks by hand, and the run that it belongs to.

    Attributes:
        run: the run.
        owned: whether it was started for this training, and ends with it.
        resuming: whether it goes on with what an earlier process has recorded.
        epochs: what records them.
        trained: what this process has recorded into the run.
        first_epoch: where this training starts, once that is known.
    """

    def __init__(self, key: Any, first: Recorded, call: Call | None) -> None:
        self.key = key
        self.model: Any = getattr(first, "_model", None)
        self.call = call
        self.first_epoch: int | None = None
        self._expected = [weakref.ref(one) for one in announced(key, call) or [first]]
        self._members: list[weakref.ref[Recorded]] = []
        self._left = 0
        self._turns = 0
        self._stopped = False
        self._ended = False
        self._folders: list[str] = []
        self._initial_epochs: list[Any] = []
        self.run, self.owned = self._find_run()
        self.trained = trained(self.run)
        self._recorded_to = self.trained.last
        self.resuming = self.run.attempt > 1 and self._recorded_to is None
        self.epochs = Epochs(self.run, self.model)
        if call is not None:
            self._make_room(self._initial_epoch(call))
            call.on_end = self.end
        found = facts(self.model, first.params, call.arguments if call else {})
        self.run.capture(**found)
        self._unbuilt = "parameters" not in found.get("model", {"parameters": None})
        self._finalizer = weakref.finalize(self, _dropped, self.run, self.owned)
        self._finalizer.atexit = False
        _open[id(key)] = self

    def _find_run(self) -> tuple[tracker.Run, bool]:
        start = next(
            (one.tracker_start for one in self.expected if one.tracker_start is not None), {}
        )
        active = tracker.active_run()
        if active is not None and not any(
            one.owned and one.run is active for one in _open.values()
        ):
            for late in tracker.join_run(active, "TrackerCallback", **start):
                warnings.warn(late, stacklevel=2)
            return active, False
        around = [_open.get(id(call.model)) for call in calls() if call is not self.call]
        parent = next((one.run for one in reversed(around) if one is not None), None)
        run = tracker.start_run(**start, parent=parent)
        run.at_exit = ("interrupted", "the process ended before the training did")
        return run, True

    @property
    def expected(self) -> list[Recorded]:
        """The callbacks that take part or are going to, in Keras' order."""
        return [one for ref in self._expected if (one := ref()) is not None]

    @property
    def members(self) -> list[Recorded]:
        """The callbacks that have joined, in Keras' order."""
        return [one for ref in self._members if (one := ref()) is not None]

    @property
    def last_epoch(self) -> int | None:
        """The last epoch that was trained, by this process or the one before; None for none yet."""
        if self.epochs.current is not None:
            return self.epochs.current
        return self.first_epoch - 1 if self.first_epoch else None

    @property
    def open(self) -> bool:
        """Whether there still is a run to record into."""
        return not self._ended and not self.run.finished

    def has(self, callback: Recorded) -> bool:
        """Whether a callback has joined."""
        return any(one is callback for one in self.members)

    def add(self, callback: Recorded) -> None:
        """Let a callback in; it may add its policy."""
        if not self.has(callback):
            self._members.append(weakref.ref(callback))
            callback.tracker_joined(self)

    def _capture_what_is_built(self) -> None:
        """Capture the size of a model that had not been built when the training began."""
        if self._unbuilt and getattr(self.model, "built", False):
            self._unbuilt = False
            self.run.capture(**size(self.model))

    def note_folder(self, folder: str) -> None:
        """Register a folder of TensorBoard's with the run."""
        self._folders.append(folder)
        self.run.capture(tensorboard={"folders": self._folders})

    def ready(self) -> None:
        """After a callback's ``on_train_begin``: with the last of them, settle where to go on."""
        waiting = any(not self.has(one) for one in self.expected)
        if self.call is None or waiting or self.call.keras_restores:
            return
        self._settle(self._starting_epoch(self.call))
        if self.resuming and any(one.tracker_has_stopped() for one in self.members):
            self._start_at((self.members[0].params or {}).get("epochs") or 0)

    def _starting_epoch(self, call: Call) -> int:
        restores = any(one.tracker_restores for one in self.expected)
        if self.resuming and not restores and "initial_epoch" not in call.arguments:
            self._start_at(self.run.first_epoch)
            if self.run.first_epoch > 0 and steps_taken(self.model) == 0:
                warnings.warn(
                    f"Run {self.run.name} goes on at epoch {self.run.first_epoch}, but the model "
                    f"has not been trained: its optimizer has taken no step. Load a checkpoint "
                    f"before fit, or add BackupAndRestore to the callbacks.",
                    stacklevel=2,
                )
        return self._initial_epoch(call)

    def _initial_epoch(self, call: Call) -> int:
        """Where Keras is going to start: a restored epoch comes before the argument."""
        restored = getattr(self.model, "_initial_epoch", None)
        return int(restored or call.arguments.get("initial_epoch") or 0)

    def _start_at(self, epoch: int) -> None:
        self._initial_epochs.append(getattr(self.model, "_initial_epoch", None))
        self.model._initial_epoch = epoch

    def _settle(self, epoch: int) -> None:
        """Take ``epoch`` for the first one of this training, and give callbacks their state back."""
        self.first_epoch = epoch
        self._make_room(epoch)
        if self.trained.last is None and epoch != self.run.first_epoch:
            self.run.rewind(epoch)
        if self.resuming:
            self._restore_rate()
            for one in self.members:
                one.tracker_resume(epoch)

    def _restore_rate(self) -> None:
        """Set the learning rate that the last decision of all left: several may have a say in it."""
        saved = [one.tracker_saved_state for one in self.members]
        rated = [one for one in saved if one is not None and one.get("lr") is not None]
        if rated:
            last = max(rated, key=lambda one: (one["epoch"], one["turn"]))
            set_learning_rate(self.model, last["lr"])

    def turn(self) -> list[int]:
        """Number the decisions, later attempts after earlier ones."""
        self._turns += 1
        return [self.run.attempt, self._turns]

    def _make_room(self, epoch: int) -> None:
        """Let a second `fit` of one run supersede the epochs it repeats, rather than add to them."""
        last = self.trained.last
        if last is not None and epoch <= last:
            self.run.rewind(epoch)
            self.trained.last = epoch - 1

    def epoch_begins(self, epoch: int, callback: Recorded) -> None:
        """Before a callback's ``on_epoch_begin``; the first one to come starts the epoch."""
        if epoch != self.epochs.current:
            self.epochs.complete()
            if self.epochs.current is None:
                self._begin_at(epoch)
            self.epochs.begin(epoch)
        self.epochs.watch(callback)

    def _begin_at(self, epoch: int) -> None:
        if epoch != self.first_epoch:
            self._settle(epoch)
        before = self._recorded_to
        if before is None:
            return
        for one in self.members:
            one.tracker_goes_on(epoch, self.trained)
        if epoch <= before:
            warnings.warn(
                f"fit begins at epoch {epoch} (0-based), and run {self.run.name} has recorded epochs up "
                f"to {before}: those that are repeated are superseded, kept but not shown. To add k "
                f"epochs to them pass initial_epoch={before + 1}, epochs={before + 1} + k to fit; for "
                f"a run each, call fit outside of this run.",
                stacklevel=2,
            )

    def epoch_ends(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Before a callback's ``on_epoch_end``; the first one to come records the epoch."""
        if self.open and self.epochs.end(epoch, logs):
            self.trained.last = epoch
            self._capture_what_is_built()

    def epoch_passed(self, callback: Recorded) -> None:
        """After a callback's ``on_epoch_end``: the last of ours completes the epoch."""
        if self.members and self.members[-1] is callback:
            self.epochs.complete()

    def stopped(self, reason: str) -> None:
        """Note that a callback has stopped training, and why."""
        self._stopped = True
        self.run.note_stop(reason)

    def leave(self) -> None:
        """After a callback's ``on_train_end``: without `fit`, the last one ends the recording."""
        self._left += 1
        if self.call is None and self._left >= len(self._members):
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
            if self.owned and error is not None:
                self.run.fail(error)
            elif self.owned:
                self.run.finish()

    def _note_unexplained_stop(self) -> None:
        if not self._stopped and getattr(self.model, "stop_training", False):
            by = "a callback that is not recorded"
            self.run.note_stop(reasons.stop_was_set(by, self.epochs.current))

    def abandon(self, reason: str) -> None:
        """End the recording of a training of which nobody knows how it ended."""
        self._close()
        if self.owned:
            self.run.finish("interrupted", reason=reason)

    def _close(self) -> None:
        self._ended = True
        self._finalizer.detach()
        _open.pop(id(self.key), None)
        self.epochs.close()
        if self._initial_epochs:
            self.model._initial_epoch = self._initial_epochs[0]
        for one in self.members:
            one.tracker_left()


def _dropped(run: tracker.Run, owned: bool) -> None:
    if owned and not run.finished:
        run.finish("interrupted", reason="the callbacks were dropped before on_train_end")
