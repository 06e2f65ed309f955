"""A training that is being recorded: its run, who takes part, and where a resumed one continues."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, ClassVar

import keras
from keras.callbacks import CallbackList, History, ProgbarLogger

import tracker
from tracker.policies import reasons
from tracker_keras.session.capture import facts, size
from tracker_keras.session.epochs import Epochs
from tracker_keras.session.fit_hook import Fit, beginning_training
from tracker_keras.session.hooks import LastOfAll
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

    def tracker_steps(self) -> int | None:
        """Return how many steps the run has done, after what came of an epoch; None where it does not count."""
        return None

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
        has_strangers: whether callbacks that are not ours act between epochs, and may show us other weights.
    """

    def __init__(
        self, fit: Fit, start: Mapping[str, Any], params: Mapping[str, Any] | None
    ) -> None:
        self.model = fit.model
        self.arguments: Mapping[str, Any] = fit.arguments or {}
        self.by_hand = fit.arguments is None
        self.first_epoch: int | None = None
        self.has_strangers = False
        self._members: list[weakref.ref[Member]] = []
        self._left = 0
        self._turns = count(1)
        self._judged: set[int] = set()
        self._stopped = False
        self._heeds_stops = True
        self._ended = False
        self._last: LastOfAll | None = None
        self._folders: list[str] = []
        self._iterations: dict[str, int] = {}
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
        self.has_strangers = any(map(_is_stranger, callbacks))
        self._note_iterations("at_begin")
        self._add_silent(callbacks)
        if self.by_hand:
            return
        restores = any(isinstance(one, keras.callbacks.BackupAndRestore) for one in callbacks)
        if self.resuming and not restores and "initial_epoch" not in self.arguments:
            self._continue_untold()
        self._start_at(self._initial_epoch())
        if self.resuming and any(one.tracker_has_stopped() for one in self.members):
            self._set_initial_epoch((self.members[0].params or {}).get("epochs") or 0)

    def _add_silent(self, callbacks: Sequence[Any]) -> None:
        """Let those take part whose subclass does not call our hooks, in Keras' order."""
        ours = [one for one in callbacks if isinstance(one, Member)]
        if silent := [one for one in ours if not self.has(one)]:
            for one in silent:
                self.add(one)
            self._members = [weakref.ref(one) for one in ours]
        last = next((one for one in reversed(callbacks) if isinstance(one, History)), None)
        if last is not None and ours and all(map(_may_pass_over, ours)):
            self._last = LastOfAll(last, self._complete)

    def _complete(self, epoch: int, logs: dict[str, Any] | None) -> None:
        with self.epoch_end(epoch, logs, self._last):
            pass
        self.epochs.complete()

    def _note_iterations(self, when: str) -> None:
        """Capture the optimizer's own count, which is not the run's: see `Epochs.steps`."""
        count = steps_taken(self.model)
        if count is not None and self.is_open:
            self._iterations[when] = count
            self.run.capture(iterations=dict(self._iterations))

    def _continue_untold(self) -> None:
        """Let `fit` start behind the last recorded epoch, where nothing else says where to start."""
        epoch = self.run.first_epoch
        self._set_initial_epoch(epoch)
        if epoch > 0 and steps_taken(self.model) == 0:
            warnings.warn(
                f"Run {self.run.name} continues at epoch {epoch}, but the model's optimizer has taken no "
                f"step. If its weights are new, load a checkpoint before fit, or add BackupAndRestore to "
                f"the callbacks. If they were loaded, the optimizer's state was not: build the optimizer "
                f"before load_weights (model.optimizer.build(model.trainable_variables)), or load the "
                f"whole model.",
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
        self.epochs.count_from(self._steps_before(epoch))
        if self.resuming:
            self._restore_rate()
            for one in self.members:
                one.tracker_resume(epoch)

    def _steps_before(self, epoch: int) -> int:
        """Return how many training batches the run had done before an epoch."""
        earlier = {at: steps for at, steps in self.run.trained.steps.items() if at <= epoch}
        if earlier:
            return earlier[max(earlier)]
        if self.run.attempt == 1 or epoch == 0:
            return 0
        # A run that was recorded without a count has the optimizer's.
        return self.run.steps_done() or (steps_taken(self.model) or 0 if self.resuming else 0)

    def _make_room(self, epoch: int) -> None:
        """Let a second `fit` of one run supersede the epochs it repeats, rather than add to them."""
        trained = self.run.trained
        repeats = trained.last_epoch is not None and epoch <= trained.last_epoch
        if repeats or trained.in_epoch:
            self.run.rewind(epoch)
        if repeats:
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
            self._take_back_stop()
            self.epochs.begin(epoch)
            self.run.trained.in_epoch = True
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
        if self.is_open and self._repeats(epoch, callback):
            self.epochs.complete()
            self.run.rewind(epoch)
            self.epochs.repeat()
            self._judged.clear()
        self._judged.add(id(callback))
        if self.is_open and self.epochs.end(epoch, logs, self._counted):
            self._judged = {id(callback)}
            self.run.trained.end_epoch(epoch)
            if self.epochs.steps is not None:
                self.run.trained.steps[epoch + 1] = self.epochs.steps
            if self._unbuilt and getattr(self.model, "built", False):
                self._unbuilt = False
                self.run.capture(**size(self.model))
        yield
        if self.members and self.members[-1] is callback:
            self.epochs.complete()

    def _repeats(self, epoch: int, callback: object) -> bool:
        """Say whether a loop by hand trains an epoch again: it may number all of them 0."""
        return self.by_hand and epoch == self.epochs.written and id(callback) in self._judged

    def _counted(self) -> int | None:
        counts = (one.tracker_steps() for one in self.members)
        return next((steps for steps in counts if steps is not None), None)

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
            turn = [self.run.attempt, next(self._turns)]
            numbered = {"epoch": epoch, "turn": turn, **state}
            policy.decide(verdict, epoch=epoch, state=numbered, **facts)

    def note_stop(self, reason: str, *, had_stopped: bool = False) -> None:
        """Note that a callback has stopped training, and why.

        ``had_stopped``: another one had already done so in this epoch; its reason stays.
        """
        if had_stopped and self._heeds_stops:
            return
        self._stopped = True
        self.run.note_stop(reason)

    def _take_back_stop(self) -> None:
        """Forget a stop after which training continues."""
        # Keras never lowers the flag: a loop by hand that passes over it does so to its end.
        self._heeds_stops = not (self.by_hand and getattr(self.model, "stop_training", False))
        self._stopped = False
        self.run.note_stop(None)

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
                self._judge_stop()
            else:
                self.epochs.amend()
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._note_iterations("at_end")
            self._close()
            if self._claim.started and error is not None:
                self.run.fail(error)
            elif self._claim.started:
                self.run.finish()
            self._claim.release()

    def _judge_stop(self) -> None:
        """Note a stop of which nobody said why, and forget one that another callback has undone."""
        stopped = bool(getattr(self.model, "stop_training", self._stopped))
        if self._stopped and not stopped and self.epochs.current is not None and not self.by_hand:
            self._take_back_stop()
        elif stopped and not self._stopped and self._heeds_stops:
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
        # What is being saved belongs to this training; what was in its way is the run's to tell.
        self.run.wait_for_saves()
        self._ended = True
        self._finalizer.detach()
        self.epochs.close()
        if self._last is not None:
            self._last.remove()
        if self._initial_epochs:
            self.model._initial_epoch = self._initial_epochs[0]
        for one in self.members:
            one.tracker_leave()


def _is_stranger(callback: Any) -> bool:
    if isinstance(callback, (Member, CallbackList, History, ProgbarLogger)):
        return False
    own = "on_epoch_end" in callback.__dict__
    return own or type(callback).on_epoch_end is not keras.callbacks.Callback.on_epoch_end


def _may_pass_over(callback: Member) -> bool:
    """Say whether a callback's end of an epoch is a user's own, which need not call ours."""
    if "on_epoch_end" in callback.__dict__:
        return True
    return not type(callback).on_epoch_end.__module__.startswith("tracker_keras.")


class _Unbegun:
    """Owns the run of a `fit` that raised before it began."""

    def is_left(self) -> bool:
        """Say no: it ends where it is made."""
        return False

    def close_left(self) -> None:
        """Leave it to `record_unbegun`."""


def record_unbegun(
    fit: Fit, start: Mapping[str, Any], params: Mapping[str, Any] | None, error: BaseException
) -> None:
    """Record a `fit` that raised before its callbacks began; an enclosing run is left as it is."""
    owner = _Unbegun()
    claim = tracker.claim_run(owner, "TrackerCallback", **start)
    if claim.started:
        claim.run.capture(**facts(fit.model, params, fit.arguments or {}))
        if claim.run.attempt > 1:
            claim.run.withdraw(error)
        else:
            claim.run.fail(error)
    claim.release()


def _end_dropped(claim: tracker.Claim[tracker.Run]) -> None:
    if claim.started and not claim.run.finished:
        claim.run.finish("interrupted", reason="the callbacks were dropped before on_train_end")
    claim.release()
