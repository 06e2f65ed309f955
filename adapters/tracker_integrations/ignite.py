"""Ignite: a logger beside its others, and with one line a whole training: epochs, decisions, files.

    from tracker_integrations.ignite import TrackerLogger

    with TrackerLogger(experiment="digits") as logger:
        logger.record(trainer, validation=evaluator, optimizer=optimizer)
        trainer.run(loader, max_epochs=20)

Read in Ignite 0.5.5. Its EarlyStopping and Checkpoint run in the order in which they were attached: what they have
decided is read at the next event of the trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any
from weakref import ref

import tracker
from tracker.policies import TRACKER, TRANSFORMERS, reasons
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.needed import needed
from tracker_integrations.recording import Recording, Start

with needed("ignite", "ignite"):
    import ignite
    from ignite.engine import Engine, Events
    from ignite.handlers import Checkpoint, EarlyStopping
    from ignite.handlers.base_logger import (
        BaseLogger,
        BaseOptimizerParamsHandler,
        BaseOutputHandler,
    )

SCORE = "score"
"""What early stopping goes by; Ignite does not say which metric it is."""


class TrackerLogger(BaseLogger):
    """Record what handlers log, and with `record` a whole training.

    Args:
        experiment, name, params, tags, database, resume, strict, run: as for `tracker.start_run`, and a run to
            record into.
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
    ) -> None:
        start: Start = {
            "experiment": experiment, "name": name, "params": params, "tags": tags,
            "database": database, "resume": resume, "strict": strict, "run": run,
        }  # fmt: skip
        self.recording = Recording("TrackerLogger", start)
        self.recording.begin()
        self._trainings: list[_Training] = []

    @property
    def run(self) -> tracker.Run:
        """The run."""
        return self.recording.run

    def record(
        self,
        trainer: Engine,
        validation: Engine | Mapping[str, Engine] | None = None,
        *,
        optimizer: Any = None,
        log_every: int | None = None,
        output_name: str = "loss",
    ) -> None:
        """Record training as it runs.

        Args:
            trainer: its metrics are those of the epoch; its EarlyStopping and Checkpoint handlers are recorded.
            validation: evaluators whose metrics get ``val_`` or their key before their names.
            optimizer: whose learning rate is recorded.
            log_every: stream the trainer's output at every n-th iteration, where it is a number.
            output_name: what that output is called.
        """
        if not isinstance(validation, Mapping):
            validation = {} if validation is None else {"val": validation}
        training = _Training(self.recording, trainer, validation, optimizer, log_every, output_name)
        self._trainings.append(training)

    def close(self) -> None:
        """End the run that was started for this logger; a trainer that runs again is no longer recorded."""
        self._detach()
        self.recording.end()

    def _detach(self) -> None:
        while self._trainings:
            self._trainings.pop().detach()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """End the run as the block ended."""
        if error is None:
            self.close()
        else:
            self._detach()
            self.recording.fail(error)

    def _create_output_handler(self, *args: Any, **kwargs: Any) -> OutputHandler:
        return OutputHandler(*args, **kwargs)

    def _create_opt_params_handler(self, *args: Any, **kwargs: Any) -> OptimizerParamsHandler:
        return OptimizerParamsHandler(*args, **kwargs)


class OutputHandler(BaseOutputHandler):
    """Log an engine's output or metrics as step metrics named ``tag/metric``; arguments as for Ignite's others."""

    def __call__(self, engine: Engine, logger: TrackerLogger, event_name: str | Events) -> None:
        """Log what the engine has now."""
        if not isinstance(logger, TrackerLogger):
            raise RuntimeError(
                f"OutputHandler works with a TrackerLogger only, not {type(logger).__name__}"
            )
        metrics = self._setup_output_metrics_state_attrs(engine, key_tuple=False)
        logger.recording.log(metrics, int(self.global_step_transform(engine, event_name)))


class OptimizerParamsHandler(BaseOptimizerParamsHandler):
    """Log a parameter of an optimizer's groups, such as the learning rate, as step metrics."""

    def __call__(self, engine: Engine, logger: TrackerLogger, event_name: str | Events) -> None:
        """Log the values of now."""
        if not isinstance(logger, TrackerLogger):
            raise RuntimeError(
                f"OptimizerParamsHandler works with a TrackerLogger only, not {type(logger).__name__}"
            )
        prefix = f"{self.tag}/" if self.tag else ""
        params = {
            f"{prefix}{self.param_name}/group_{number}": float(group[self.param_name])
            for number, group in enumerate(self.optimizer.param_groups)
        }
        logger.recording.log(params, engine.state.get_event_attrib_value(event_name))


class _Score:
    """The score function of a handler, which remembers what it last returned."""

    def __init__(self, function: Callable[[Engine], float]) -> None:
        self.function = function
        self.last: float | None = None

    def __call__(self, engine: Engine) -> float:
        self.last = score = self.function(engine)
        return score


class _Training:
    """What a trainer does, recorded at its events."""

    def __init__(
        self,
        recording: Recording,
        trainer: Engine,
        validation: Mapping[str, Engine],
        optimizer: Any,
        log_every: int | None,
        output_name: str,
    ) -> None:
        self._recording, self._trainer = recording, ref(trainer)
        self._validation, self._optimizer = dict(validation), optimizer
        self._output_name, self._rate = output_name, None
        self._seen: dict[int, Seen] = {}
        self._saved: dict[int, dict[Path, Any]] = {}
        handlers: list[tuple[Engine, Any, Any]] = [
            (trainer, Events.STARTED, self._begin),
            (trainer, Events.EPOCH_STARTED, self._look),
            (trainer, Events.ITERATION_STARTED, self._note_rate),
            (trainer, Events.EPOCH_COMPLETED, self._log_epoch),
            (trainer, Events.TERMINATE, self._terminated),
            (trainer, Events.COMPLETED, self._end),
        ]
        if log_every is not None:
            event = Events.ITERATION_COMPLETED(every=log_every)
            handlers.append((trainer, event, self._log_iteration))
        for name, engine in self._validation.items():
            handlers.append((engine, Events.COMPLETED, partial(self._log_validation, name=name)))
        self._handles = [engine.add_event_handler(*handler) for engine, *handler in handlers]

    def detach(self) -> None:
        """Hear of no further event."""
        for handle in self._handles:
            handle.remove()

    def _begin(self, engine: Engine) -> None:
        recording = self._recording
        recording.begin()
        recording.capture(ignite={"version": ignite.__version__})
        if engine.state.epoch:
            recording.starts_at(engine.state.epoch)
        for one in self._handlers((EarlyStopping, Checkpoint)):
            if one.score_function is not None and not isinstance(one.score_function, _Score):
                one.score_function = _Score(one.score_function)

    def _handlers(self, kinds: Any) -> list[Any]:
        """Return the handlers of some classes that are attached to the trainer and the evaluators."""
        trainer = self._trainer()
        engines = [*([] if trainer is None else [trainer]), *self._validation.values()]
        found = {id(one): one for engine in engines for one in _attached(engine)}
        return [one for one in found.values() if isinstance(one, kinds)]

    def _epoch(self) -> int:
        trainer = self._trainer()
        return 0 if trainer is None else max(trainer.state.epoch - 1, 0)

    def _step(self) -> int:
        trainer = self._trainer()
        return 0 if trainer is None else int(trainer.state.iteration)

    def _note_rate(self, engine: Engine) -> None:
        if self._optimizer is not None:
            self._rate = self._optimizer.param_groups[0]["lr"]

    def _log_iteration(self, engine: Engine) -> None:
        metrics = {self._output_name: engine.state.output}
        if self._rate is not None:
            metrics["learning_rate"] = self._rate
        self._recording.log(metrics, engine.state.iteration)

    def _log_epoch(self, engine: Engine) -> None:
        self._recording.log_epoch(
            self._epoch(), _numbers(engine), learning_rate=self._rate, step=self._step()
        )

    def _log_validation(self, engine: Engine, name: str) -> None:
        metrics = {f"{name}_{metric}": value for metric, value in _numbers(engine).items()}
        self._recording.log_epoch(self._epoch(), metrics, step=self._step())

    def _look(self, engine: Engine) -> None:
        """Record what handlers have decided in the epoch before this one."""
        if engine.state.epoch > 1:
            self._record_decisions(engine.state.epoch - 2)

    def _record_decisions(self, epoch: int) -> None:
        for stopper in self._handlers(EarlyStopping):
            self._judge(stopper, epoch)
        for saver in self._handlers(Checkpoint):
            self._tell_saved(saver, epoch)

    def _judge(self, stopper: Any, epoch: int) -> None:
        score = getattr(stopper.score_function, "last", None)
        if score is None or not self._recording.is_open:
            return
        stopper.score_function.last = None
        value, best = float(score), float(stopper.best_score)
        before = self._seen.get(id(stopper), Seen())
        after = Seen(best, before.best_epoch if best == before.best else epoch, stopper.counter)
        self._recording.log_epoch(epoch, {SCORE: value})
        record_check(
            self._recording,
            self._policy(stopper),
            before,
            after,
            epoch=epoch,
            step=self._step(),
            value=value,
            patience=stopper.patience,
            min_delta=stopper.threshold if stopper.threshold_mode == "abs" else 0.0,
            stopped=stopper.counter >= stopper.patience,
            # The best value also moves by less than the threshold.
            improved=stopper.counter == 0,
        )
        self._seen[id(stopper)] = after

    def _policy(self, stopper: Any) -> tracker.Policy:
        names = "patience", "threshold", "threshold_mode", "cumulative", "mode"
        known = stopper.threshold_mode == "abs"
        return self._recording.policy(
            id(stopper),
            # A threshold that is a share of the best value is one that `replay` does not know.
            "EarlyStopping" if known else "ignite.EarlyStopping",
            monitor=SCORE,
            config={
                **{name: getattr(stopper, name) for name in names},
                "min_delta": stopper.threshold,
            },
            rules=TRACKER if stopper.cumulative else TRANSFORMERS,
        )

    def _tell_saved(self, saver: Any, epoch: int) -> None:
        folder = getattr(saver.save_handler, "dirname", None)
        if folder is None or not self._recording.is_open:
            return
        monitor = saver.score_name if saver.score_function is not None else None
        now = {Path(folder) / item.filename: item.priority for item in saver._saved}
        before = self._saved.get(id(saver), {})
        policy = self._recording.policy(
            id(saver),
            "Checkpoint",
            monitor=monitor,
            config={"n_saved": saver.n_saved, "mode": "max"},
        )
        for path in now.keys() - before.keys():
            value = float(now[path]) if monitor else None
            at: dict[str, Any] = {"epoch": epoch, "step": self._step(), "value": value}
            self._recording.saved(path, monitor=monitor, policy=policy, **at)
            why = reasons.every_save()
            if saver.n_saved is not None:
                why = f"it is among the {saver.n_saved} {'best' if monitor else 'last'}"
            self._recording.decide(policy, "saved", reason=why, path=path, **at)
        for path in before.keys() - now.keys():
            self._recording.deleted(path)
            why = f"it is not among the {saver.n_saved} {'best' if monitor else 'last'}"
            self._recording.decide(
                policy, "pruned", epoch=epoch, step=self._step(), reason=why, path=path
            )
        self._saved[id(saver)] = now

    def _terminated(self, engine: Engine) -> None:
        if engine.should_terminate == "skip_completed":
            self._end(engine)

    def _end(self, engine: Engine) -> None:
        self._record_decisions(self._epoch())
        state = engine.state
        if state.max_epochs is not None and state.epoch < state.max_epochs:
            self._recording.stop(
                f"the trainer was terminated at epoch {self._epoch()}, iteration {state.iteration}"
            )


def _attached(engine: Engine) -> Iterator[Any]:
    for handlers in engine._event_handlers.values():
        for handler, *_ in handlers:
            # A handler of an event with a filter is wrapped.
            parent = getattr(handler, "_parent", None)
            yield handler if parent is None else parent()


def _numbers(engine: Engine) -> dict[str, float]:
    """Return an engine's metrics that are one number each."""
    found = {}
    for name, value in engine.state.metrics.items():
        try:
            found[name] = tracker.number(value, name)
        except tracker.BadValue:
            continue
    return found
