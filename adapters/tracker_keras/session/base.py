"""What all recorded callbacks share: they join a run, and write down what Keras decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras

import tracker
from tracker_keras.session import session as joining
from tracker_keras.session.epochs import Probe
from tracker_keras.session.fit_history import Trained
from tracker_keras.session.participants import announce
from tracker_keras.session.session import Session

Logs = dict[str, Any] | None
RULES = "keras-" + ".".join(keras.__version__.split(".")[:2])


class Recorded(keras.callbacks.Callback):
    """Base of our callbacks; stands before Keras' own class, which does the work.

    Hooks call ``super()`` and look at what has changed. Copies and pickles leave the run behind:
    a copy joins the run of the training that it is given to.
    """

    tracker_kind: ClassVar[str] = ""
    """Name of its policy in the record; none where the callback decides nothing."""
    tracker_settings: ClassVar[tuple[str, ...]] = ()
    """Attributes that are recorded as the policy's configuration."""
    tracker_restores: ClassVar[bool] = False
    """Whether it brings back weights, and so the epoch at which training goes on."""
    tracker_start: dict[str, Any] | None = None
    """Arguments of ``tracker.start_run``, where the callback knows any."""

    _tracker_session: Session | None = None
    _tracker_policy: tracker.Policy | None = None

    def set_model(self, model: Any) -> None:
        """Take the model, and say so to the others of this training."""
        super().set_model(model)
        announce(self._model, self)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Join the active run, or start one for this training."""
        session = joining.join(self)
        self._tracker_begin(logs)
        session.ready()

    def _tracker_begin(self, logs: Logs) -> None:
        """Let Keras begin; subclasses look at it before and after."""
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the epoch's clock."""
        if self._tracker_session is not None:
            self._tracker_session.epoch_begins(epoch, self)
        super().on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Record the epoch before anything is decided on it."""
        session = self._tracker_session
        if session is None:
            super().on_epoch_end(epoch, logs)
            return
        session.epoch_ends(epoch, logs)
        self._tracker_judge(epoch, logs)
        session.epoch_passed(self)

    def _tracker_judge(self, epoch: int, logs: Logs) -> None:
        """Let Keras decide; subclasses look at it before and after."""
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the run."""
        self._tracker_wind_up(logs)
        if self._tracker_session is not None:
            self._tracker_session.leave()

    def _tracker_wind_up(self, logs: Logs) -> None:
        """Let Keras end its part; subclasses look at it before and after."""
        super().on_train_end(logs)

    def tracker_joined(self, session: Session) -> None:
        """Take part in a recording."""
        self._tracker_session = session
        self._tracker_policy = None
        if self.tracker_kind:
            monitor = getattr(self, "monitor", None)
            self._tracker_policy = session.run.add_policy(
                self.tracker_kind, monitor=monitor, config=self.tracker_config(), rules=RULES
            )

    def tracker_left(self) -> None:
        """Take no part any more."""
        self._tracker_session = None
        self._tracker_policy = None

    def tracker_config(self) -> dict[str, Any]:
        """Return the callback's settings as they are recorded."""
        return {name: getattr(self, name) for name in self.tracker_settings}

    def tracker_resume(self, epoch: int) -> None:
        """Go on at ``epoch`` as if there had been no interruption; only in a resumed run."""

    def tracker_goes_on(self, epoch: int, earlier: Trained) -> None:
        """Begin at ``epoch`` in a run that an earlier `fit` of this process has recorded into."""

    def tracker_has_stopped(self) -> bool:
        """Whether it had already ended the training that is resumed."""
        return False

    def tracker_decided(
        self, verdict: str, *, epoch: int, reason: str, state: Mapping[str, Any], **facts: Any
    ) -> None:
        """Record a decision, with the state after it."""
        if (
            self._tracker_policy is None
            or self._tracker_session is None
            or not self._tracker_session.open
        ):
            return
        turn = self._tracker_session.turn()
        self._tracker_policy.decide(
            verdict,
            epoch=epoch,
            reason=reason,
            state={"epoch": epoch, "turn": turn, **state},
            **facts,
        )

    @property
    def tracker_saved_state(self) -> dict[str, Any] | None:
        """What an earlier attempt of this run remembered before the epoch at which it goes on."""
        return None if self._tracker_policy is None else self._tracker_policy.saved_state

    def tracker_catch_up(self, epoch: int) -> None:
        """Decide on epochs before ``epoch`` that were recorded, but not decided on before the kill."""
        saved, session = self.tracker_saved_state, self._tracker_session
        if saved is None or session is None:
            return
        for missed in range(int(saved["epoch"]) + 1, epoch):
            metrics = session.run.recorded_epoch(missed)
            if metrics is not None:
                self._tracker_judge(missed, metrics)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the run, its connection and our own hooks."""
        state = {
            name: value for name, value in self.__dict__.items() if not isinstance(value, Probe)
        }
        state.pop("_tracker_session", None)
        state.pop("_tracker_policy", None)
        return state
