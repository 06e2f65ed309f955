"""skorch: every epoch of a net's history, why it stops, and what its Checkpoint saves.

    from tracker_integrations.skorch import TrackerCallback

    net = NeuralNetClassifier(Net, callbacks=[EarlyStopping(patience=5), TrackerCallback(experiment="digits")])
    net.fit(x, y)

Read in skorch 1.4.0. Its EarlyStopping ends the training by a KeyboardInterrupt, which the callbacks after it do not
see: what they missed is read from the net when training has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import tracker
from tracker_integrations.caller import local
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.needed import needed
from tracker_integrations.recording import Recording, Start

with needed("skorch", "skorch"):
    import skorch
    from skorch.callbacks import Callback, Checkpoint, EarlyStopping

_NO_METRICS = ("epoch", "dur", "batches")
"""What stands in a history beside metrics."""


class TrackerCallback(Callback):
    """Record each ``fit`` and ``partial_fit`` of a net.

    The epoch's numbers are those of its history, which counts from 1; its seconds are ``dur``.

    Args:
        experiment, name, params, tags, database, resume, strict, run: as for `tracker.start_run`, and a run to
            record into.
        log_every: stream the loss of every n-th training batch; None for none.
    """

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | PathLike[str] | None = None,
        resume: str | None = None,
        strict: bool = False,
        run: tracker.Run | None = None,
        log_every: int | None = None,
    ) -> None:
        # As scikit-learn wants it: attributes that are called like the arguments.
        self.experiment = experiment
        self.name = name
        self.params = params
        self.tags = tags
        self.database = database
        self.resume = resume
        self.strict = strict
        self.run = run
        self.log_every = log_every

    def initialize(self) -> TrackerCallback:
        """Begin anew with a net that does."""
        self.recording_: Recording | None = None
        self.steps_ = 0
        return self

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin the run."""
        if self.recording_ is not None and self.recording_.is_open:
            self.recording_.close_left()
        self.recording_ = recording = Recording("TrackerCallback", self._start())
        recording.begin()
        self.known_, self.asked_ = False, None
        self.rate_ = _rate(net)
        self.seen_: dict[int, Seen] = {}
        recording.log_params(_params(net))
        recording.capture(skorch={"version": skorch.__version__}, model=_facts(net))

    def _start(self) -> Start:
        return {
            "experiment": self.experiment, "name": self.name, "params": self.params, "tags": self.tags,
            "database": self.database, "resume": self.resume, "strict": self.strict, "run": self.run,
        }  # fmt: skip

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool | None = None, **kwargs: Any
    ) -> None:
        """Stream the loss of a training batch."""
        if not training or self.recording_ is None:
            return
        self.steps_ += 1
        self.rate_ = _rate(net)
        if self.log_every is not None and self.steps_ % self.log_every == 0:
            loss = net.history[-1, "batches", -1, "train_loss"]
            self.recording_.log({"batch_loss": loss}, self.steps_)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Record the epochs before this one."""
        self.asked_ = local("fit_loop", "epochs")
        self._know(net, len(net.history) - 1)
        self._catch_up(net, len(net.history) - 1)

    def _know(self, net: Any, count: int) -> None:
        """Count on from what the history holds before the first epoch; a LoadInitState has read it by then."""
        if self.known_ or self.recording_ is None or not self.recording_.is_open:
            return
        run = self.recording_.run
        self.known_, self.done_, self.first_ = True, count, count
        # A net that begins anew in a run that is resumed has no history of it.
        self.offset_ = 0 if count or run.attempt == 1 else run.first_epoch
        self.steps_ = sum(row.get("train_batch_count", 0) for row in net.history[:count])
        self.recording_.starts_at(count + self.offset_)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Record the last epoch, and how the training ended."""
        recording = self.recording_
        if recording is None or not recording.is_open:
            return
        complete = len(net.history)
        self._know(net, complete)
        if complete and "dur" not in net.history[-1]:
            complete -= 1
        self._catch_up(net, complete)
        for stopper in _those(net, EarlyStopping):
            if stopper.load_best and stopper.best_epoch_ != self.done_:
                self._tell_restored(recording, stopper, net)
        if complete < len(net.history) and not recording.stopped:
            recording.end("interrupted", "training was interrupted within an epoch")
        elif self.asked_ and complete < self.first_ + self.asked_ and not recording.stopped:
            recording.end(
                "interrupted",
                f"a KeyboardInterrupt ended training after {complete - self.first_} of {self.asked_} epochs",
            )
        else:
            recording.end()

    def _catch_up(self, net: Any, count: int) -> None:
        """Record the epochs of the history that are not recorded yet, and what callbacks made of the last one."""
        recording = self.recording_
        if recording is None or not recording.is_open or count <= self.done_:
            return
        for at in range(self.done_, count):
            row = net.history[at]
            metrics = {
                name: value
                for name, value in row.items()
                if name not in _NO_METRICS and not name.endswith(("_best", "_batch_count"))
                and not isinstance(value, (str, bool, list))
            }  # fmt: skip
            recording.log_epoch(
                at + self.offset_, metrics, seconds=row.get("dur"),
                learning_rate=self.rate_, step=self.steps_,
            )  # fmt: skip
        self.done_ = count
        for stopper in _those(net, EarlyStopping):
            self._judge(recording, stopper, net)
        for saver in _those(net, Checkpoint):
            self._tell_saved(recording, saver, net)

    def _judge(self, recording: Recording, stopper: Any, net: Any) -> None:
        at = self.done_ - 1
        best = None
        if stopper.best_epoch_:
            best = float(net.history[stopper.best_epoch_ - 1, stopper.monitor])
        best_epoch = None if best is None else stopper.best_epoch_ - 1 + self.offset_
        after = Seen(best, best_epoch, stopper.misses_)
        relative = stopper.threshold_mode == "rel"
        record_check(
            recording,
            self._policy(recording, stopper),
            self.seen_.get(id(stopper), Seen()),
            after,
            epoch=at + self.offset_,
            step=self.steps_,
            value=float(net.history[at, stopper.monitor]),
            patience=stopper.patience,
            min_delta=_rounded(stopper.threshold * (best or 0.0))
            if relative
            else stopper.threshold,
            stopped=stopper.misses_ == stopper.patience,
        )
        self.seen_[id(stopper)] = after

    def _policy(self, recording: Recording, stopper: Any) -> tracker.Policy:
        mode = "min" if stopper.lower_is_better else "max"
        recording.run.define_metric(stopper.monitor, mode, monitor=True)
        names = "patience", "threshold", "threshold_mode", "load_best"
        return recording.policy(
            id(stopper),
            # Its threshold is a share of the best value, which `replay` does not know.
            "skorch.EarlyStopping" if stopper.threshold_mode == "rel" else "EarlyStopping",
            monitor=stopper.monitor,
            config={
                **{name: getattr(stopper, name) for name in names},
                "min_delta": stopper.threshold,
                "mode": mode,
            },
        )

    def _tell_restored(self, recording: Recording, stopper: Any, net: Any) -> None:
        best = float(net.history[stopper.best_epoch_ - 1, stopper.monitor])
        recording.decide(
            self._policy(recording, stopper),
            "restored",
            epoch=self.done_ - 1 + self.offset_,
            reason=f"the weights of the best epoch came back: {stopper.monitor} {best:.4g}",
            best=best,
            best_epoch=stopper.best_epoch_ - 1 + self.offset_,
        )

    def _tell_saved(self, recording: Recording, saver: Any, net: Any) -> None:
        """Register the files that a Checkpoint has saved at the last epoch."""
        if saver.event_name and not net.history[self.done_ - 1].get(saver.event_name):
            return
        # A monitor that is a metric's name and _best says whether the epoch is the best by it.
        monitor = (
            str(saver.monitor).removesuffix("_best") if isinstance(saver.monitor, str) else None
        )
        value = None if monitor is None else net.history[self.done_ - 1].get(monitor)
        weights = saver.get_formatted_files(net).get("f_params")
        for path in _files(saver, net):
            facts = {"monitor": monitor, "value": value} if str(path) == str(weights) else {}
            recording.saved(path, epoch=self.done_ - 1 + self.offset_, step=self.steps_, **facts)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the run: a net that is pickled or cloned takes its callbacks along."""
        return {**self.__dict__, "run": None, "recording_": None}


def _those(net: Any, kind: type) -> list[Any]:
    return [callback for _, callback in net.callbacks_ if isinstance(callback, kind)]


def _files(saver: Any, net: Any) -> list[Path]:
    named = [
        Path(str(name)) for name in saver.get_formatted_files(net).values() if name is not None
    ]
    return [path for path in named if path.is_file()]


def _rounded(delta: float) -> float:
    """Return a share of the best value in the digits that are told."""
    return float(f"{abs(delta):.4g}")


def _rate(net: Any) -> float | None:
    groups = getattr(getattr(net, "optimizer_", None), "param_groups", None)
    return float(groups[0]["lr"]) if groups else None


def _params(net: Any) -> dict[str, Any]:
    """Return a net's own parameters; modules, callbacks and data sets by their names."""
    hidden = (
        "callbacks", "verbose", "device", "warm_start", "compile", "use_caching", "torch_load_kwargs", "_",
    )  # fmt: skip
    return {
        name: getattr(value, "__name__", value)
        for name, value in net.get_params(deep=False).items()
        if not name.startswith(hidden)
    }


def _facts(net: Any) -> dict[str, Any]:
    module = net.module_
    return {
        "class": type(module).__name__,
        "parameters": sum(part.numel() for part in module.parameters()),
    }
