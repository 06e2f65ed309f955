"""What Transformers' ``test_trainer_callback.py`` asks of callbacks, asked of TrackerCallback in our words.

Its releases do not ship that file, so that it cannot be fetched and run as it is.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="make test-neighbours")

from transformers import (
    DefaultFlowCallback,
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import CallbackHandler, TrainerControl

import tracker
from tests.helpers.integrations import epochs, run_named
from tests.helpers.regression import Regression, RegressionConfig, rows
from tracker_integrations.transformers import TrackerCallback, attach

EVENTS = [name for name in vars(TrainerCallback) if name.startswith("on_")]


class Events(TrainerCallback):  # type: ignore[misc]
    """Remembers each event, and the flags of the control that came with it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []


def _remember(event: str) -> Any:
    def remember(self: Events, args: Any, state: Any, control: Any, **_: Any) -> None:
        flags = control.should_log, control.should_save, control.should_evaluate
        self.seen.append((event, state.global_step, *flags))

    return remember


for _event in EVENTS:
    setattr(Events, _event, _remember(_event))


def trainer(*callbacks: Any, **options: Any) -> Any:
    given = {"output_dir": "out", "use_cpu": True, "report_to": "none", "disable_tqdm": True}
    return Trainer(
        Regression(RegressionConfig()),
        TrainingArguments(**{**given, **options}),
        train_dataset=rows(64),
        eval_dataset=rows(64),
        callbacks=list(callbacks),
    )


def ours(made: Any) -> list[Any]:
    return [one for one in made.callback_handler.callbacks if isinstance(one, TrackerCallback)]


# How it is added, found and taken away


@pytest.mark.parametrize(
    "given", [TrackerCallback, TrackerCallback("a")], ids=["class", "instance"]
)
def test_it_is_given_as_a_class_or_as_an_instance(given: Any) -> None:
    assert len(ours(trainer(given))) == 1
    made = trainer()
    made.add_callback(given)
    (added,) = ours(made)
    assert isinstance(given, type) or added is given


@pytest.mark.parametrize("by", ["class", "instance"])
def test_it_is_taken_away_by_class_or_instance_and_records_no_more(by: str) -> None:
    callback = TrackerCallback("a")
    made = trainer(callback, max_steps=1)
    made.remove_callback(TrackerCallback if by == "class" else callback)
    made.train()
    assert ours(made) == []
    assert not Path(".tracker").exists()


def test_it_is_popped_as_the_one_it_was() -> None:
    callback = TrackerCallback("a")
    made = trainer(callback)
    assert made.pop_callback(TrackerCallback) is callback
    assert made.pop_callback(TrackerCallback) is None
    assert "TrackerCallback" in trainer(callback).callback_handler.callback_list.split("\n")


def test_a_second_one_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("transformers")
    logger.propagate = True
    try:
        trainer(TrackerCallback, TrackerCallback)
    finally:
        logger.propagate = False
    assert "TrackerCallback" in caplog.text


# What it leaves as it is


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"logging_steps": 5},
        {"save_steps": 5},
        {"eval_steps": 5, "eval_strategy": "steps"},
        {"eval_strategy": "epoch", "save_strategy": "epoch"},
        {"logging_steps": 3, "save_steps": 10, "eval_steps": 5, "eval_strategy": "steps"},
        {"gradient_accumulation_steps": 2, "logging_steps": 2},
    ],
    ids=lambda options: "-".join(options) or "default",
)
def test_the_trainer_s_events_are_the_same_with_it(options: dict[str, Any]) -> None:
    alone, beside = Events(), Events()
    trainer(alone, **options).train()
    trainer(TrackerCallback("a"), beside, **options).train()
    assert alone.seen == beside.seen
    assert {event for event, *_ in beside.seen} >= {"on_train_begin", "on_step_end", "on_train_end"}
    assert run_named()["status"] == "finished"


def test_it_answers_every_event_there_is_outside_of_a_training_too() -> None:
    handler = CallbackHandler([DefaultFlowCallback(), TrackerCallback("a")], None, None, None, None)
    handler.train_dataloader = handler.eval_dataloader = None
    given: dict[str, dict[str, Any]] = {
        "on_log": {"logs": {"loss": 1.0}},
        "on_evaluate": {"metrics": {"eval_loss": 1.0}},
        "on_predict": {"metrics": {"test_loss": 1.0}},
    }
    args, state, control = (
        TrainingArguments("out", report_to="none"),
        TrainerState(),
        TrainerControl(),
    )
    for event in EVENTS:
        if event != "on_train_begin":
            handler.call_event(event, args, state, control, **given.get(event, {}))
    assert not Path(".tracker").exists()


def test_each_step_comes_with_the_flags_of_the_trainer() -> None:
    events = Events()
    trainer(TrackerCallback("a"), events, max_steps=2, logging_steps=1, save_strategy="no").train()
    ended = [flags for event, _, *flags in events.seen if event == "on_step_end"]
    assert [logs for logs, *_ in ended] == [True, True]


def test_an_epoch_is_saved_once() -> None:
    trainer(TrackerCallback("a"), max_steps=2, save_strategy="epoch").train()
    assert len(tracker.checkpoints(run_named()["id"])) == 1


def test_a_callback_that_stops_after_the_first_step_does() -> None:
    class Stop(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_training_stop = True
            return control

    made = trainer(Stop(), TrackerCallback("a"), max_steps=10, logging_steps=1, save_strategy="no")
    made.train()
    assert made.state.global_step == 1
    row = run_named()
    assert row["status"] == "stopped_early"
    assert row["reason"] == "a callback set should_training_stop at step 1 of 10"


# What a checkpoint keeps of it

RESUMED = {
    "load_best_model_at_end": True, "save_strategy": "epoch", "eval_strategy": "epoch",
    "restore_callback_states_from_checkpoint": True, "per_device_train_batch_size": 32,
}  # fmt: skip
"""Two steps per epoch."""


def test_its_state_is_plain_and_makes_another_one_of_it() -> None:
    callback = TrackerCallback("a", name="mine", database=Path("here.db"))
    callback.run_id = "abc"
    state = json.loads(json.dumps(callback.state()))
    again = TrackerCallback.from_state(state)
    assert again.run_id == "abc"
    assert again.state() == callback.state()


def test_it_comes_back_beside_others_and_continues_its_run() -> None:
    trainer(TrackerCallback("a"), EarlyStoppingCallback(5, 0.2), max_steps=2, **RESUMED).train()
    made = trainer(EarlyStoppingCallback(), TrackerCallback(), max_steps=4, **RESUMED)
    made.train(resume_from_checkpoint="out/checkpoint-2")
    (callback,) = ours(made)
    assert run_named()["experiment"] == "a"
    assert callback.run_id == run_named()["id"]
    stopper = made.pop_callback(EarlyStoppingCallback)
    assert (stopper.early_stopping_patience, stopper.early_stopping_threshold) == (5, 0.2)
    told = tracker.decisions(run_named()["id"])
    assert told[told["policy"] == "EarlyStopping"]["step"].tolist() == [2, 4]


def test_a_stopper_of_a_checkpoint_counts_on_from_there() -> None:
    class Worse(TrainerCallback):  # type: ignore[misc]
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
            metrics["eval_loss"] = float(state.global_step)

    options = {**RESUMED, "metric_for_best_model": "loss"}
    trainer(Worse(), TrackerCallback("a"), EarlyStoppingCallback(3), max_steps=6, **options).train()
    made = trainer(Worse(), TrackerCallback(), EarlyStoppingCallback(3), max_steps=20, **options)
    made.train(resume_from_checkpoint="out/checkpoint-6")
    row = run_named()
    told = tracker.decisions(row["id"])
    judged = told[told["policy"] == "EarlyStopping"]
    assert judged["wait"].tolist() == [0, 1, 2, 3]
    assert row["status"] == "stopped_early"
    assert judged["reason"].iloc[-1].endswith("3 of 3 waits")


def test_a_training_that_resumes_without_it_is_warned(caplog: pytest.LogCaptureFixture) -> None:
    trainer(TrackerCallback("a"), max_steps=2, **RESUMED).train()
    logger = logging.getLogger("transformers")
    logger.propagate = True
    try:
        trainer(max_steps=2, **RESUMED).train(resume_from_checkpoint="out/checkpoint-2")
    finally:
        logger.propagate = False
    assert "TrackerCallback" in caplog.text
    assert len(tracker.runs()) == 1


def test_an_attached_trainer_and_one_with_the_callback_record_the_same() -> None:
    options = {"eval_strategy": "epoch", "logging_steps": 4, "save_strategy": "no", "seed": 1}
    trainer(TrackerCallback("a"), **options).train()
    made = trainer(**options)
    attach(made, experiment="b")
    made.train()
    first, second = epochs("a-1"), epochs("b-1")
    assert first["eval_loss"] == second["eval_loss"]
    assert set(first) == set(second)
