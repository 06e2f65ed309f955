"""The base of every callback, with Keras' hooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from difflib import get_close_matches
from typing import Any
from weakref import ref

from tracker import Policy, Run, RunError, UsageError
from tracker_torch.loop import distributed
from tracker_torch.loop.loop import Loop

Logs = MutableMapping[str, Any]


class Callback:
    """Subclass it and override the hooks you need; each gets Keras' arguments.

    Attributes:
        model: the module, or the mapping or sequence of modules, that is trained.
        optimizer: likewise, or None.
        params: ``{"epochs": …, "steps": …}`` as far as known.
        loop: the `CallbackList` that calls this callback. ``self.loop.stop("why")`` ends training;
            ``self.loop.step`` and ``self.loop.epoch`` say where it is.
        policy: where its decisions are recorded, once training has begun.

    Epochs and batches count from 0. ``logs`` holds plain floats; in batch hooks it is read-only and
    a tensor in it is fetched from its device only when it is looked at.
    """

    order = 0
    """When it has its turn at the end of a batch or epoch: those that judge 0, save 1, write 2, back up 3.

    A checkpoint then holds the learning rate that the next epoch starts with. Those below 0 come
    before the epoch is recorded.
    """
    batch_hooks = True
    """Whether hooks for batches have anything to do; False spares the calls."""
    logs_rates = False
    """Whether it has learning rates logged with the epoch's metrics, as Keras' callbacks do."""
    restores = False
    """Whether it brings back a training, and so begins before the others."""
    params: Mapping[str, Any] | None = None
    model: Any = None
    policy: Policy | None = None
    _loop: ref[Loop] | None = None
    _run: Run | None = None
    _carried: Mapping[str, Any] | None = None
    _seen = False
    _missed: int | None = None

    @property
    def needs_model(self) -> bool:
        """Whether it keeps weights, and so can do nothing without a model."""
        return False

    @property
    def loop(self) -> Loop:
        """What calls this callback."""
        loop = self.present_loop
        if loop is None:
            raise RunError(
                f"{type(self).__name__} is in no loop yet: hand it to Training(callbacks=[…]) or to "
                f"CallbackList([…]), whose hooks you then call."
            )
        return loop

    @property
    def kind(self) -> str:
        """The name it is recorded by: that of our class which it is, or derives from; else its own."""
        ours = (
            base.__name__
            for base in type(self).__mro__
            if base.__module__.startswith("tracker_torch.") and base is not Callback
        )
        return next(ours, type(self).__name__)

    @property
    def present_loop(self) -> Loop | None:
        """What calls this callback, or called it last; None before the first, and where that is gone."""
        return None if self._loop is None else self._loop()

    @property
    def run(self) -> Run:
        """The run that is recorded, or was last."""
        return self._run if self._run is not None and self.present_loop is None else self.loop.run

    @property
    def optimizer(self) -> Any:
        """The optimizer or optimizers of the loop."""
        return self.loop.optimizer

    def set_params(self, params: Mapping[str, Any] | None) -> None:
        """Take what is known of the training: ``epochs``, ``steps``."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model or models."""
        self.model = model

    def set_loop(self, loop: Loop) -> None:
        """Take what calls this callback."""
        # Weakly: a training that its script has dropped is over, although a callback of it is used again.
        self._loop = ref(loop)

    def get_state(self) -> dict[str, Any] | None:
        """Return what a backup keeps of this callback: tensors, numbers, text; None for nothing."""
        return None

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Take back what `get_state` returned; called before ``on_train_begin``."""
        self._carried = saved

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave the training behind: the loop, its run and the model."""
        of_the_training = ("_loop", "_run", "policy", "model", "params")
        return {name: value for name, value in vars(self).items() if name not in of_the_training}

    def join(
        self, *, monitor: str | None = None, rules: str | None = None, config: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Register with the run; return the state to continue from, and what a backup brought.

        Both are empty in a new training. The state is the one that was recorded with the last
        decision before ``run.first_epoch``, else the one in the backup. Of a backup from the middle of
        an epoch it is the backup's: decisions were taken in that epoch as well.
        """
        self._run = self.loop.run
        self.policy = self.run.add_policy(self.kind, monitor=monitor, rules=rules, config=config)
        # What the callbacks of an earlier phase decided is not theirs.
        own = None if self.loop.is_next_phase else self.policy.saved_state
        recorded = distributed.share(own)
        carried, self._carried = dict(self._carried or {}), None
        self._seen, self._missed = False, None
        backed_up = carried.get("state")
        newer = backed_up if self.loop.position.in_epoch else None
        return dict(newer or recorded or backed_up or {}), carried

    def decide(self, verdict: str, *, reason: str, epoch: int, **facts: Any) -> None:
        """Record a verdict with the step at which it was taken; in a run that was ended meanwhile, nothing."""
        if self.policy is not None and not self.loop.run.finished:
            facts = {"step": self.loop.step, **facts}
            self.policy.decide(verdict, reason=reason, epoch=epoch, **facts)

    def watched(self, monitor: str | None, logs: Mapping[str, Any], epoch: int) -> float | None:
        """Return ``logs[monitor]``; where it is missing say so, once, with the names there are."""
        if monitor is None:
            return None
        value: float | None = logs.get(monitor)
        if value is not None:
            self._seen = True
        elif not self._seen and self._missed is None:
            self._missed = epoch
            self.loop.warn(
                f"{type(self).__name__} watches {monitor!r}, but epoch {epoch} logged "
                f"{_listed(logs)}.{_hint(monitor, logs)}"
            )
        return value

    def report_missing(self, names: Iterable[str]) -> None:
        """Warn at the end when the watched metric never came; ``names`` did."""
        if self._missed is not None and not self._seen and self.policy is not None:
            self.loop.warn(
                f"{type(self).__name__} watched {self.policy.monitor!r}, which never appeared: the "
                f"epochs logged {_listed(dict.fromkeys(names))}. It decided nothing by it."
            )

    def listens(self, hook: str) -> bool:
        """Whether ``hook`` does anything here."""
        if "_batch_" in hook and not self.batch_hooks:
            return False
        older = hook.replace("_train_batch_", "_batch_")
        return any(
            name in vars(self) or getattr(type(self), name) is not getattr(Callback, name)
            for name in {hook, older}
        )

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Do what ``on_train_batch_begin`` does; Keras' older name."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Do what ``on_train_batch_end`` does; Keras' older name."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Run before an epoch's first batch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Run after validation, with the epoch's metrics."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a training batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a training batch, with what was logged in it."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a validation batch."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a validation batch."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a batch of predictions."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a batch of predictions."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Run once, before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Run once, after the last epoch; not when training raised."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Run before validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Run after validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Run before predictions."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Run after predictions."""

    def on_epoch_close(self, epoch: int) -> None:
        """Run when nothing of an epoch is left to do: in `Training`, after the body of the loop."""

    def on_exception(self, error: BaseException) -> None:
        """Run when training raised; Keras has no such hook."""


def as_callbacks(value: Iterable[Callback] | Callback | None) -> list[Callback]:
    """Return the callbacks; one alone is a list of one, None of none.

    Raises:
        UsageError: one of them is not a callback of ours, with what to write instead.
    """
    given: Iterable[Any]
    if value is None:
        given = ()
    elif isinstance(value, Iterable):
        given = value
    else:
        given = (value,)
    return [as_callback(callback) for callback in given]


def as_callback(value: Any) -> Callback:
    """Return ``value``.

    Raises:
        UsageError: it is not a callback of ours.
    """
    if isinstance(value, Callback):
        return value
    kind = value if isinstance(value, type) else type(value)
    if isinstance(value, type):
        advice = "it is the class: write it with its arguments in brackets"
    elif all(hasattr(value, name) for name in ("step", "state_dict", "optimizer")):
        advice = f"it is a scheduler: write LRSchedulerCallback({kind.__name__}(…))"
    else:
        advice = (
            "it is not a tracker_torch.Callback: import the one of the same name from tracker_torch, "
            "or derive yours from tracker_torch.Callback"
        )
    raise UsageError(
        f"{kind.__module__}.{kind.__qualname__} cannot be called by a torch loop: {advice}."
    )


def _listed(logs: Mapping[str, Any]) -> str:
    return f"only {', '.join(map(str, logs))}" if logs else "nothing"


def _hint(monitor: str, names: Iterable[str]) -> str:
    close = get_close_matches(monitor, list(names), 1)
    return f" Did you mean {close[0]!r}?" if close else ""
