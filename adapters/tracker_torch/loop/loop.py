"""What the callbacks of one training share: models, the run, the step, and whether to stop."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import tracker
from tracker import NotWritable, Run, policies
from tracker_torch.loop import distributed, ownership
from tracker_torch.loop.position import Position
from tracker_torch.state.serialization import named, unwrap

UNWRITABLE = (OSError, NotWritable)
"""What a full disk, or a folder that cannot be made or written, raises."""
_OURS = tuple(
    f"{Path(file).parent}{os.sep}" for file in (__file__, tracker.__file__) if file is not None
)


class Loop:
    """The state of a training in progress; `CallbackList` adds the hooks.

    Attributes:
        model, optimizer, scheduler, scaler: what is trained, each one thing, a mapping or a sequence.
        run: the run that is recorded: the one handed over, else the active one, else one of our own.
        epoch, step: the 0-based epoch at hand, and how many training batches are done in all.
        first_epoch: where to begin; more than 0 when a run or a backup was resumed.
        recorded: whether an epoch of this training has been recorded.
        restored: whether the training came back from a backup or a checkpoint.
        lacking: the parts that this checkpoint did not hold.
        position: where it is in its data.
        rates: the learning rates of the epoch that has ended, under the names they are logged by.
        main: whether this process writes files and talks (rank 0, or the only one).
        flags: where a stop is asked for, under ``stop_training``: our own, with its reason, then the models'.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        scheduler: Any,
        scaler: Any,
        run: Run | None,
        start: Callable[..., Run],
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.scheduler, self.scaler = scheduler, scaler
        self.main = distributed.rank() == 0
        self.first_epoch = self.epoch = self.step = 0
        self.restored = False
        self.lacking: frozenset[str] = frozenset()
        self.position = Position()
        self.rates: dict[str, float] = {}
        self._given, self._start = run, start
        self._run: Run | None = None
        self._owned = False
        self._live = self.recorded = False
        self._asked: dict[str, str] = {}
        self.flags: list[dict[str, Any]] = [self._asked]
        self._forgiven: set[int] = set()

    @property
    def run(self) -> Run:
        """The run that is recorded."""
        if self._run is None:
            active = tracker.active_run()
            if active is not None and active.recording and not self.main:
                active = None  # started on every rank, but only rank 0 may record into it
            self._run = self._given or active
            if self._run is None:
                self._run = self._start(recording=None if self.main else False)
                self._owned = True
        return self._run

    @property
    def owns_run(self) -> bool:
        """Whether the run was started here, and is ended here."""
        return self._owned

    @property
    def stop_training(self) -> bool:
        """Whether training is to end. ``model.stop_training = True``, Keras' way, counts too."""
        return any(flags.get("stop_training") for flags in self.flags)

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if value:
            self.stop(policies.reasons.stop_was_set("the loop", self.epoch))
            return
        if self._asked:
            self.run.note_stop(None)
        for flags in self.flags:
            flags.pop("stop_training", None)

    def stop(self, reason: str) -> None:
        """End training, for a reason that is kept with the run."""
        self._asked["stop_training"] = reason
        self.run.note_stop(reason)

    def agree_to_stop(self, epoch: int) -> None:
        """End training on every rank where one has ended it, and keep which and why."""
        if self.stop_training and not self._asked:
            self.stop(policies.reasons.stop_was_set("the loop or the model", epoch))
        reasons = distributed.gather(self._asked.get("stop_training"))
        first = next((rank for rank, reason in enumerate(reasons) if reason is not None), None)
        if first is not None and not self._asked:
            self.stop(f"rank {first} stopped after epoch {epoch}: {reasons[first]}")

    @property
    def has_its_rates(self) -> bool:
        """Whether the learning rates came back with the optimizer; else a run's record has them."""
        return self.restored and "optimizer" not in self.lacking

    @property
    def live(self) -> bool:
        """Whether training has begun and has not ended."""
        return self._live and not (self._run is not None and self._run.finished)

    def begin_anew(self) -> None:
        """Forget a stop, as Keras does before ``on_train_begin``, and a run of ours that has ended."""
        self._forgiven = set()
        if self._owned and self._run is not None and self._run.finished:
            self._run, self._owned = None, False
            self.epoch = self.step = 0
        self._live = self.recorded = False
        self.flags = [self._asked, *(vars(unwrap(module)) for module in named(self.model).values())]
        for flags in self.flags:
            flags.pop("stop_training", None)

    def let_go(self) -> None:
        """Leave the run to another training, if no epoch of this one is in it."""
        if self._run is not None:
            ownership.let_go(self._run, self)

    def say(self, text: str) -> None:
        """Print what Keras prints with ``verbose=1``, on one process only."""
        if self.main:
            print(text)

    def warn(self, text: str) -> None:
        """Warn, on one process only."""
        if self.main:
            warnings.warn(text, UserWarning, stacklevel=1 + _depth())

    def forgive(self, error: Exception, who: object, what: str) -> None:
        """Go on without a file: warn, once for each ``who`` in a training.

        Args:
            error: one of `UNWRITABLE`.
            who: the callback whose file it was.
            what: the file and what did not happen to it: ``log.csv could not be written``.

        Raises:
            OSError, NotWritable: ``error``, where the run is strict.
        """
        if self.run.strict:
            raise error
        if id(who) not in self._forgiven:
            self._forgiven.add(id(who))
            self.warn(
                f"{what} ({str(error).rstrip('.')}): training goes on without it. Make room, or make "
                f"the folder writable: each further turn tries again, and this is not repeated."
            )

    def close(self, error: BaseException | None = None) -> None:
        """End the run if it was started here: failed or interrupted where there is an error."""
        self._live = False
        self.let_go()
        if self._owned and self._run is not None and not self._run.finished:
            if error is None:
                self._run.finish()
            else:
                self._run.fail(error)


def _depth() -> int:
    """Return how many frames of ours lie between the caller and the line of the user's."""
    for depth in count(1):
        try:
            file = sys._getframe(depth).f_code.co_filename
        except ValueError:
            return 1
        if not file.startswith(_OURS):
            return depth - 1
    raise AssertionError  # count() does not end
