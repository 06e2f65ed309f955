"""Train by the Trainer of Transformers with random series and settings, and replay what was recorded.

    python -m tests.helpers.transformers_replay --seed 1 --count 1000

prints each case in which a replay with the run's own settings decides otherwise than the Trainer did.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import transformers
from transformers import EarlyStoppingCallback, Trainer, TrainerState, TrainingArguments

import tracker
from tests.helpers import replayed
from tests.helpers.regression import Regression, RegressionConfig, rows
from tracker_integrations.transformers import TrackerCallback


def random_settings(chance: random.Random) -> dict[str, Any]:
    """Return what TrainingArguments say of the best model and of saving."""
    return {
        "greater_is_better": chance.random() < 0.5,
        "save_total_limit": chance.choice([None, 1, 2, 3, 5]),
        "save_strategy": chance.choice(["epoch", "epoch", "best"]),
        "load_best_model_at_end": chance.random() < 0.5,
    }


def train(
    folder: Path, series: list[float], callbacks: list[Any], settings: dict[str, Any]
) -> TrainerState:
    """Train one step per epoch, and find what the series says at each evaluation; returns the last state."""
    values: Iterator[float] = iter(series)
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=len(series), per_device_train_batch_size=4,
        eval_strategy="epoch", logging_strategy="no", metric_for_best_model="score", use_cpu=True,
        report_to="none", disable_tqdm=True, save_only_model=True, **settings,
    )  # fmt: skip
    trainer = Trainer(
        Regression(RegressionConfig()), arguments, train_dataset=rows(4), eval_dataset=rows(4),
        callbacks=callbacks, compute_metrics=lambda _: {"score": next(values)},
    )  # fmt: skip
    trainer.train()
    return trainer.state


def differs(seed: int) -> str | None:
    """Train once, replay, and say what differs; None where nothing does. Records into the working directory."""
    chance = random.Random(seed)
    series, settings = replayed.random_series(chance), random_settings(chance)
    patience, threshold = chance.choice([1, 2, 3, 5]), chance.choice([0.0, 0.0, 0.01, 0.2])
    folder, ours = Path("files", str(seed)), TrackerCallback("replay")
    state = train(folder, series, [EarlyStoppingCallback(patience, threshold), ours], settings)
    assert ours.run_id is not None
    kept = {int(path.name.split("-")[1]) - 1 for path in folder.glob("checkpoint-*")}
    found = {**_stops(ours.run_id, state, len(series)), **replayed.files(ours.run_id, kept)}
    wrong = {name: pair for name, pair in found.items() if pair[0] != pair[1]}
    given = f"patience={patience}, threshold={threshold}, {settings}, {series}"
    return f"seed {seed}: {wrong} with {given}" if wrong else None


def _stops(run: str, state: TrainerState, epochs: int) -> dict[str, tuple[Any, Any]]:
    """Return what a replay says of the stop and the best value, each with what the Trainer says."""
    (row,) = tracker.replay(run).to_dict("records")
    told = tracker.decisions(run)
    stops = told[(told["policy"] == "EarlyStopping") & (told["verdict"] == "stopped")]
    stop = stops["epoch"].iloc[0] if len(stops) else None
    return {
        "epochs": (row["epochs"], state.global_step),
        "rules": (row["rules"], "transformers-5"),
        "best": (replayed.number(row["best"]), state.best_metric),
        "stop_epoch": (replayed.number(row["stop_epoch"]), stop),
        "stopped": (stop is not None, state.global_step < epochs or stop == epochs - 1),
    }


def main() -> None:
    """Try many seeds."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    replayed.main(__doc__, differs)


if __name__ == "__main__":
    main()
