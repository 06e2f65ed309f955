"""Ignite: what is recorded is what its engines and handlers hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.integrations import epochs, points, run_named

pytest.importorskip("ignite")
import torch
from ignite.engine import (
    Engine,
    Events,
    create_supervised_evaluator,
    create_supervised_trainer,
)
from ignite.handlers import Checkpoint, DiskSaver, EarlyStopping
from ignite.metrics import Accuracy, Loss
from sklearn.datasets import load_digits

from tracker_integrations.ignite import TrackerLogger

IMAGES, LABELS = load_digits(return_X_y=True)
X, Y = torch.tensor(IMAGES[:256] / 16, dtype=torch.float32), torch.tensor(LABELS[:256])
BATCHES = [(X[at : at + 64], Y[at : at + 64]) for at in range(0, 192, 64)]
VALID = [(X[192:], Y[192:])]


class Problem:
    """A linear model on digits, its trainer and evaluator, and what they reported themselves."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(64, 10)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1)
        loss = torch.nn.CrossEntropyLoss()
        self.trainer = create_supervised_trainer(self.model, self.optimizer, loss)
        self.evaluator = create_supervised_evaluator(
            self.model, {"loss": Loss(loss), "accuracy": Accuracy()}
        )
        self.losses: list[float] = []
        self.evaluated: list[dict[str, float]] = []
        self.trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda engine: self.losses.append(engine.state.output)
        )
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self._evaluate)

    def _evaluate(self, engine: Engine) -> None:
        self.evaluator.run(VALID)
        self.evaluated.append(dict(self.evaluator.state.metrics))

    def record(self, logger: TrackerLogger, epochs: int = 3, **options: Any) -> None:
        logger.record(
            self.trainer, self.evaluator, optimizer=self.optimizer, log_every=1, **options
        )
        self.trainer.run(BATCHES, max_epochs=epochs)


@pytest.fixture
def problem() -> Problem:
    return Problem()


def test_a_training_is_recorded_with_one_line(problem: Problem) -> None:
    with TrackerLogger("digits") as logger:
        problem.record(logger)
    found = epochs()
    for metric in ("loss", "accuracy"):
        assert found[f"val_{metric}"] == [row[metric] for row in problem.evaluated]
    assert points()["loss"] == dict(enumerate(problem.losses, 1))
    frame = tracker.epochs(run_named()["id"])
    assert frame["learning_rate"].tolist() == [0.1] * 3
    assert frame["epoch"].tolist() == [0, 1, 2]
    assert run_named()["status"] == "finished"


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_is_recorded_as_decisions(problem: Problem, first: bool) -> None:
    scores = iter([1.0, 2.0, 2.05, 1.5, 3.0])
    stopper = EarlyStopping(2, lambda _: next(scores), problem.trainer, threshold=0.1)
    with TrackerLogger() as logger:
        if first:
            problem.evaluator.add_event_handler(Events.COMPLETED, stopper)
            problem.record(logger, epochs=5)
        else:
            logger.record(problem.trainer, problem.evaluator)
            problem.evaluator.add_event_handler(Events.COMPLETED, stopper)
            problem.trainer.run(BATCHES, max_epochs=5)
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].tolist() == ["improved", "improved", "waited", "stopped"]
    assert told["epoch"].tolist() == [0, 1, 2, 3]
    assert told["best"].tolist() == [1.0, 2.0, 2.05, 2.05]
    row = run_named()
    assert (row["status"], row["reason"]) == ("stopped_early", told["reason"].iloc[-1])
    assert row["reason"] == "score 1.500 did not beat 2.050 (epoch 2) by 0.1; 2 of 2 waits"
    assert tracker.replay(row["id"]).iloc[0]["stop_epoch"] == 3
    assert tracker.replay(row["id"], patience=1).iloc[0]["stop_epoch"] == 2


def test_files_of_its_checkpoint_are_registered_and_pruned(problem: Problem) -> None:
    scores = iter([1.0, 3.0, 2.0, 0.5])
    saver = Checkpoint(
        {"model": problem.model},
        DiskSaver("saved"),
        score_function=lambda _: next(scores),
        score_name="accuracy",
        n_saved=2,
    )
    problem.evaluator.add_event_handler(Events.COMPLETED, saver)
    with TrackerLogger() as logger:
        problem.record(logger, epochs=4)
    frame = tracker.checkpoints(run_named()["id"])
    kept = frame[frame["state"] == "available"]
    assert {Path(path).name for path in kept["path"]} == {
        path.name for path in Path("saved").iterdir()
    }
    assert sorted(kept["value"]) == [2.0, 3.0]
    assert frame[frame["state"] == "pruned"]["value"].tolist() == [1.0]
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].value_counts().to_dict() == {"saved": 3, "pruned": 1}


def test_handlers_as_of_ignite_s_other_loggers(problem: Problem) -> None:
    with TrackerLogger() as logger:
        logger.attach_output_handler(
            problem.trainer,
            Events.ITERATION_COMPLETED,
            tag="training",
            output_transform=lambda loss: {"loss": loss},
        )
        logger.attach_output_handler(
            problem.evaluator,
            Events.COMPLETED,
            tag="validation",
            metric_names="all",
            global_step_transform=lambda *_: problem.trainer.state.epoch,
        )
        logger.attach_opt_params_handler(
            problem.trainer, Events.ITERATION_STARTED, optimizer=problem.optimizer
        )
        problem.trainer.run(BATCHES, max_epochs=2)
    found = points()
    assert found["training/loss"] == dict(enumerate(problem.losses, 1))
    assert found["validation/accuracy"] == {
        at: row["accuracy"] for at, row in enumerate(problem.evaluated, 1)
    }
    assert found["lr/group_0"] == dict.fromkeys(range(1, 7), 0.1)


def test_a_handler_wants_its_own_logger() -> None:
    with TrackerLogger() as logger:
        handler = logger._create_output_handler("tag", metric_names="all")
        with pytest.raises(RuntimeError, match="works with a TrackerLogger only, not object"):
            handler(Engine(lambda *_: None), object(), Events.STARTED)


def test_an_error_is_the_end_of_the_run(problem: Problem) -> None:
    def fail(engine: Engine) -> None:
        raise ValueError("no such layer")

    problem.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=4), fail)
    with pytest.raises(ValueError, match="no such layer"), TrackerLogger() as logger:
        problem.record(logger)
    row = run_named()
    assert (row["status"], row["epochs"]) == ("failed", 1)


@pytest.mark.parametrize("skip", [False, True])
def test_a_trainer_that_is_terminated_was_stopped(problem: Problem, skip: bool) -> None:
    problem.trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=4),
        lambda engine: engine.terminate(skip_completed=skip),
    )
    with TrackerLogger() as logger:
        problem.record(logger)
    row = run_named()
    assert row["status"] == "stopped_early"
    assert row["reason"] == "the trainer was terminated at epoch 1, iteration 4"


def test_a_logger_that_is_closed_records_no_further_training(problem: Problem) -> None:
    for _ in range(2):
        with TrackerLogger() as logger:
            problem.record(logger, epochs=2)
    runs = tracker.runs()
    assert runs["status"].tolist() == ["finished", "finished"]
    assert runs["epochs"].tolist() == [2, 2]
