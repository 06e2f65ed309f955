"""fastai: every epoch of the Recorder, why it stops, and what its callbacks save and load.

    from tracker_integrations.fastai import TrackerCallback

    learner.fit_one_cycle(5, cbs=[TrackerCallback(experiment="digits"), EarlyStoppingCallback(patience=3)])

Read in fastai 2.8.12. Its EarlyStoppingCallback ends the fit by an exception, which the callbacks after it do not see:
what it decided is read when the next epoch begins, or the fit ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any
from weakref import ReferenceType, ref

import tracker
from tracker.policies import TRACKER
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.needed import needed
from tracker_integrations.recording import Recording, Start

with needed("fastai", "fastai"):
    import fastai
    import numpy as np
    from fastai.callback.core import Callback, GatherPredsCallback
    from fastai.callback.schedule import LRFinder
    from fastai.callback.tracker import EarlyStoppingCallback, SaveModelCallback
    from fastai.torch_core import rank_distrib


class TrackerCallback(Callback):
    """Record each fit of a Learner; `lr_find` and predictions are not fits.

    Args:
        experiment, name, params, tags, database, resume, strict, tracker_run: as for `tracker.start_run`, and a run
            to record into.
        log_every: stream the loss and the learning rate of every n-th training batch; None for none.
    """

    # After fastai's own, which have up to 63.
    order = 70

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | PathLike[str] | None = None,
        resume: str | None = None,
        strict: bool = False,
        tracker_run: tracker.Run | None = None,
        log_every: int | None = None,
    ) -> None:
        super().__init__()
        self._tracker_start: Start = {
            "experiment": experiment, "name": name, "params": params, "tags": tags,
            "database": database, "resume": resume, "strict": strict, "run": tracker_run,
        }  # fmt: skip
        self._tracker_every = log_every
        self._tracker_fit: _Fit | None = None
        self._tracker_begins = False

    def before_fit(self) -> None:
        """Note whether this fit trains: the search for a learning rate and predictions do not."""
        others = LRFinder, GatherPredsCallback
        self.run = not any(isinstance(one, others) for one in self.learn.cbs)
        self._tracker_begins = self.run
        if self._tracker_fit is not None and self._tracker_fit.recording.is_open:
            self._tracker_fit.recording.close_left()

    def before_train(self) -> None:
        """Begin the run; a validation on its own never gets here."""
        if self._tracker_begins:
            self._tracker_begins = False
            self._tracker_fit = _Fit(self.learn, self._tracker_start)

    def before_epoch(self) -> None:
        """Record the epoch before this one."""
        if self._tracker_fit is not None:
            self._tracker_fit.catch_up(self.learn)

    def after_batch(self) -> None:
        """Stream the loss of a training batch."""
        fit = self._tracker_fit
        if fit is None or not self.training:
            return
        fit.steps += 1
        if self._tracker_every is not None and fit.steps % self._tracker_every == 0:
            metrics = {"batch_loss": self.loss, "learning_rate": self.recorder.lrs[-1]}
            fit.recording.log(metrics, fit.steps)

    def after_fit(self) -> None:
        """Record the last epoch, and how the fit ended."""
        fit = self._tracker_fit
        if fit is not None and fit.recording.is_open:
            fit.end(self.learn)


class _Fit:
    """One fit, and the run that it is recorded in."""

    def __init__(self, learner: Any, start: Start) -> None:
        self.recording = Recording(
            "TrackerCallback",
            start,
            main=rank_distrib() == 0,
            is_driven=partial(_is_there, ref(learner)),
        )
        run = self.recording.begin()
        self.steps = run.steps_done()
        self._first, self._done = run.first_epoch, 0
        self._seen: dict[int, Seen] = {}
        self._saved: dict[int, int] = {}
        self.recording.log_params(
            {
                "epochs": learner.n_epoch,
                "learning_rate": learner.opt.hypers[-1]["lr"],
                "batch_size": getattr(learner.dls, "bs", None),
                "optimizer": learner.opt_func,
                "loss": getattr(learner.loss_func, "name", type(learner.loss_func).__name__),
                "weight_decay": learner.wd,
            }
        )
        self.recording.capture(
            fastai={"version": fastai.__version__},
            model={
                "class": type(learner.model).__name__,
                "parameters": sum(part.numel() for part in learner.model.parameters()),
            },
        )

    def catch_up(self, learner: Any) -> None:
        """Record the epochs that the Recorder has and the run has not, and what was decided at the last of them."""
        recorder = learner.recorder
        rows = list(recorder.values)
        if len(rows) <= self._done:
            return
        names = list(recorder.metric_names[1:-1])
        for at in range(self._done, len(rows)):
            metrics = dict(zip(names, rows[at], strict=False))
            rate = recorder.lrs[-1] if recorder.lrs else None
            self.recording.log_epoch(self._first + at, metrics, learning_rate=rate, step=self.steps)
        self._done = len(rows)
        values = dict(zip(names, rows[-1], strict=False))
        for callback in learner.cbs:
            if isinstance(callback, EarlyStoppingCallback):
                self._judge(callback, float(values[callback.monitor]))
            elif isinstance(callback, SaveModelCallback):
                self._tell_saved(callback, values)

    def end(self, learner: Any) -> None:
        """Record what is left, and end the run that was started for this fit."""
        self.catch_up(learner)
        for callback in learner.cbs:
            if isinstance(callback, SaveModelCallback):
                self._tell_loaded(callback)
        if self._done < learner.n_epoch:
            self.recording.stop(
                f"a callback cancelled the fit in epoch {self._first + learner.epoch}"
            )
        self.recording.end()

    @property
    def _epoch(self) -> int:
        return self._first + self._done - 1

    def _policy(self, callback: Any, kind: str, **config: Any) -> tracker.Policy:
        mode = "min" if callback.comp is np.less else "max"
        self.recording.run.define_metric(callback.monitor, mode, monitor=True)
        return self.recording.policy(
            id(callback),
            kind,
            monitor=callback.monitor,
            config={"mode": mode, "min_delta": abs(callback.min_delta), **config},
            rules=TRACKER,
        )

    def _judge(self, stopper: Any, value: float) -> None:
        before = self._seen.get(id(stopper), Seen())
        moved = stopper.new_best
        best, at = (stopper.best, self._epoch) if moved else (before.best, before.best_epoch)
        self._seen[id(stopper)] = after = Seen(best, at, stopper.wait)
        record_check(
            self.recording,
            self._policy(stopper, "EarlyStopping", patience=stopper.patience),
            before,
            after,
            epoch=self._epoch,
            step=self.steps,
            value=value,
            patience=stopper.patience,
            min_delta=abs(stopper.min_delta),
            stopped=stopper.wait >= stopper.patience,
        )

    def _tell_saved(self, saver: Any, values: Mapping[str, Any]) -> None:
        path = saver.last_saved_path
        if path is None or not Path(path).is_file():
            return
        written = Path(path).stat().st_mtime_ns
        if self._saved.get(id(saver)) == written:
            return
        self._saved[id(saver)] = written
        best = Seen(float(saver.best), self._epoch) if getattr(saver, "new_best", False) else Seen()
        self._seen[id(saver)] = best if best.best is not None else self._seen.get(id(saver), best)
        policy = self._policy(saver, "SaveModelCallback", every_epoch=saver.every_epoch)
        value = values.get(saver.monitor)
        at: dict[str, Any] = {"epoch": self._epoch, "step": self.steps, "value": value}
        self.recording.saved(path, monitor=saver.monitor, policy=policy, **at)
        reason = (
            "every epoch is saved" if saver.every_epoch else f"{saver.monitor} is the best so far"
        )
        self.recording.decide(policy, "saved", reason=reason, path=path, **at)

    def _tell_loaded(self, saver: Any) -> None:
        best = self._seen.get(id(saver), Seen())
        if saver.every_epoch or saver.at_end or best.best is None:
            return
        self.recording.decide(
            self._policy(saver, "SaveModelCallback", every_epoch=saver.every_epoch),
            "restored",
            epoch=self._epoch,
            reason=f"the model of epoch {best.best_epoch} was loaded, whose {saver.monitor} "
            f"{best.best:.4g} is the best",
            best=best.best,
            best_epoch=best.best_epoch,
            path=saver.last_saved_path,
        )


def _is_there(learner: ReferenceType[Any]) -> bool:
    return learner() is not None
