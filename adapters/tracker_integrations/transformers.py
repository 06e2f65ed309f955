"""Hugging Face Transformers: what the Trainer logs, evaluates, saves, deletes, and why it stops.

    from tracker_integrations.transformers import attach

    trainer = Trainer(model, arguments, train_dataset=…, eval_dataset=…)
    attach(trainer, experiment="reviews")

or ``callbacks=[TrackerCallback(experiment="reviews")]``, or, once this module is imported,
``TrainingArguments(report_to="tracker")``. `attach` also hears of a training that raises.

Read in Transformers 5.24.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from os import PathLike, fspath
from typing import Any, cast
from weakref import ReferenceType, ref

import tracker
from tracker_integrations.caller import caller
from tracker_integrations.needed import needed
from tracker_integrations.recording import Recording, Start

with needed("transformers", "transformers"):
    import transformers
    from transformers import Trainer, TrainingArguments
    from transformers.integrations import integration_utils
    from transformers.trainer_callback import ExportableState, TrainerControl, TrainerState
    from transformers.trainer_callback import TrainerCallback as Callback

    from tracker_integrations.transformers_parts.checkpoints import SavedFolders
    from tracker_integrations.transformers_parts.early_stopping import Checks
    from tracker_integrations.transformers_parts.facts import arguments, model_facts
    from tracker_integrations.transformers_parts.training import Training


def attach(trainer: Trainer, **start: Any) -> TrackerCallback:
    """Record what a Trainer trains from now on, a training that raises included.

    Args:
        trainer: gets a `TrackerCallback`, unless it has one, and a ``train`` that tells it of errors.
        **start: as for `TrackerCallback`.

    Returns:
        The callback; its ``run`` is the run of the training.
    """
    callbacks = trainer.callback_handler.callbacks
    callback = next((one for one in callbacks if isinstance(one, TrackerCallback)), None)
    if callback is None:
        callback = TrackerCallback(**start)
        # Ahead of the one that prints, which takes an entry out of what is logged.
        callbacks.insert(0, callback)
    if not isinstance(trainer.train, partial):
        trainer.train = partial(_train, trainer)
    return callback


def _train(trainer: Trainer, *args: Any, **kwargs: Any) -> Any:
    try:
        return type(trainer).train(trainer, *args, **kwargs)
    except BaseException as error:
        # A resumed training may have exchanged the callback for its copy.
        for one in trainer.callback_handler.callbacks:
            if isinstance(one, TrackerCallback):
                one.fail(error)
        raise


class TrackerCallback(Callback, ExportableState):
    """Record a training of the Trainer.

    Everything that it logs is a step metric; the last value of each that it logged in an epoch is the epoch's.
    EarlyStoppingCallback's verdicts, and what the Trainer saves, deletes and loads at the end, are decisions.
    A training that resumes from a checkpoint continues the run that is named there.

    Args:
        experiment, name, params, tags, database, strict, run: as for `tracker.start_run`, and a run to record into.
    """

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | PathLike[str] | None = None,
        strict: bool = False,
        run: tracker.Run | None = None,
    ) -> None:
        self.run_id: str | None = None
        self._start: Start = {
            "experiment": experiment, "name": name, "params": params, "tags": tags,
            "database": database, "strict": strict, "run": run,
        }  # fmt: skip
        self._training: Training | None = None
        self._trial: tracker.Run | None = None

    @property
    def run(self) -> tracker.Run | None:
        """The run of this training, or of the last one; None before the first."""
        return None if self._training is None else self._training.recording.run

    # How it begins and ends

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the run, or continue the one that the checkpoint names."""
        if self._training is not None and self._training.recording.is_open:
            self._training.recording.close_left()
        resumes = state.global_step > 0
        earlier = (_run_in(state, type(self).__name__) or self.run_id) if resumes else None
        self._training = training = self._begin(args, state, earlier)
        # Transformers 5.24 saves the state of a callback only where the checkpoint that is resumed knew it.
        state.stateful_callbacks.setdefault(type(self).__name__, self.state())
        training.recording.log_params({**arguments(args), **(state.trial_params or {})})
        training.recording.capture(
            transformers={"version": transformers.__version__, "max_steps": state.max_steps},
            model=model_facts(kwargs.get("model")),
        )
        training.recording.starts_at(int(state.epoch or 0))
        if resumes and state.best_global_step:
            # A step ends its epoch: the last one of epoch 0 is at 1.0 epochs.
            passed = (state.epoch or 0) * state.best_global_step / state.global_step
            training.best_epoch = max(0, math.ceil(round(passed, 6)) - 1)
        self._checks, self._folders = Checks(training), SavedFolders(training, args)

    def _begin(self, args: TrainingArguments, state: TrainerState, earlier: str | None) -> Training:
        trainer = caller(Trainer)
        trainer_ref = None if trainer is None else ref(trainer)
        start = self._start.copy()
        name = args.run_name if args.run_name != args.output_dir else None
        if state.is_hyper_param_search and start["run"] is None:
            # A trial is a run of its own, also where the search has one.
            start["name"] = start["name"] or name
            self._trial = start["run"] = _start_trial(start)
        recording = Recording(
            "TrackerCallback",
            start,
            main=state.is_world_process_zero,
            is_driven=partial(_is_there, trainer_ref),
        )
        recording.default(name=name or None)
        run = recording.begin(earlier)
        self.run_id = run.id if run.recording else None
        training = Training(recording, trainer_ref)
        training.mode = "max" if args.greater_is_better else "min"
        if args.metric_for_best_model is not None:
            training.monitor = f"eval_{args.metric_for_best_model.removeprefix('eval_')}"
            run.define_metric(training.monitor, training.mode, monitor=True)
        return training

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record how the training ended, and end the run that was started for it."""
        training = self._open()
        if training is None:
            return
        self._checks.record(state)
        self._folders.note_deleted(state)
        self._folders.note_restored(state)
        if state.global_step < state.max_steps and not training.recording.stopped:
            training.recording.stop(_why_stopped(state, control))
        training.recording.end()
        if self._trial is not None:
            self._trial.finish()

    def fail(self, error: BaseException) -> None:
        """End the run because the training raised."""
        training = self._open()
        if training is not None:
            training.recording.fail(error)
        if self._trial is not None and not self._trial.finished:
            self._trial.fail(error)

    def _open(self) -> Training | None:
        """Return the training, where it is still recorded."""
        training = self._training
        return training if training is not None and training.recording.is_open else None

    # Its epochs and steps

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin to collect what the Trainer logs in an epoch."""
        if (training := self._open()) is not None:
            self._checks.record(state)
            before = training.epoch
            training.epoch = int(state.epoch or 0) if before is None else before + 1
            training.in_epoch, training.logged = True, {}

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the learning rate of this step: at the end of an epoch the scheduler has moved on."""
        optimizer = kwargs.get("optimizer")
        if self._training is not None and optimizer is not None and optimizer.param_groups:
            self._training.rate = optimizer.param_groups[0]["lr"]

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Read the verdict on an evaluation in the middle of an epoch."""
        if self._training is not None and self._checks.are_pending:
            self._checks.record(state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record what the Trainer logs."""
        metrics = {name: value for name, value in (logs or {}).items() if name != "epoch"}
        training = self._open()
        if training is None:
            _log_outside(metrics, state.global_step)
            return
        training.recording.log(metrics, state.global_step)
        if "train_runtime" in metrics or training.epoch is None:
            return  # the end of the training, or an evaluation before it
        metrics.pop("learning_rate", None)
        training.logged.update(metrics)
        if not training.in_epoch:
            training.recording.log_epoch(training.epoch, metrics)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record the epoch; what the Trainer logs and evaluates after it is added to it."""
        training = self._open()
        if training is not None and training.epoch is not None:
            self._checks.record(state)
            training.in_epoch = False
            training.recording.log_epoch(
                training.epoch,
                training.logged,
                learning_rate=training.rate,
                step=state.global_step,
            )

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        """Record the metrics of a prediction where a run is active."""
        _log_outside(metrics, state.global_step)

    # What is decided and saved

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Remember an evaluation until its verdicts are in; of several data sets, each is one."""
        training = self._open()
        if training is None:
            return
        found = training.recording.numbers(metrics or {})
        is_next = state.global_step != training.evaluated_at
        if is_next or training.monitor in found:
            self._checks.record(state)
        training.evaluated = found if is_next else {**training.evaluated, **found}
        training.evaluated_at = state.global_step
        if training.monitor in found:
            self._checks.remember(state)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Register the folder that the Trainer has saved, and note those that it has deleted for it."""
        if self._open() is not None:
            self._checks.record(state)
            self._folders.note_saved(state)

    def state(self) -> dict[str, Any]:
        """Return what is kept in a checkpoint: what the run was started with, and which run it is."""
        start = {
            name: fspath(value) if isinstance(value, PathLike) else value
            for name, value in self._start.items()
            if name not in ("run", "params", "tags")
        }
        return {"args": start, "attributes": {"run_id": self.run_id}}


def _is_there(trainer: ReferenceType[Trainer] | None) -> bool:
    return trainer is None or trainer() is not None


def _start_trial(start: Start) -> tracker.Run:
    given = cast("dict[str, Any]", {name: value for name, value in start.items() if name != "run"})
    return tracker.start_run(**given, parent=tracker.active_run())


def _run_in(state: TrainerState, name: str) -> str | None:
    """Return the id of the run that a checkpoint names."""
    saved = (state.stateful_callbacks or {}).get(name)
    if isinstance(saved, list):
        saved = saved[-1] if saved else None
    run_id = (saved or {}).get("attributes", {}).get("run_id")
    return run_id if isinstance(run_id, str) else None


def _log_outside(metrics: Mapping[str, Any], step: int) -> None:
    """Record an evaluation or a prediction before or after the training, where a run is active."""
    run = tracker.active_run()
    if run is not None and metrics:
        run.log(Recording("TrackerCallback").numbers(metrics), step=step)


def _why_stopped(state: TrainerState, control: TrainerControl) -> str:
    at = f"at step {state.global_step} of {state.max_steps}"
    if state.is_hyper_param_search and not control.should_training_stop:
        return f"the hyperparameter search pruned this trial {at}"
    return f"a callback set should_training_stop {at}"


# There is no other way for `report_to` to find it.
integration_utils.INTEGRATION_TO_CALLBACK.setdefault("tracker", TrackerCallback)
