"""Train by Lightning with random series and settings, and replay what was recorded.

    python -m tests.helpers.lightning_replay --seed 1 --count 1000

prints each case in which a replay with the run's own settings decides otherwise than Lightning did.
"""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

import tracker
from tests.helpers import replayed
from tests.helpers.lightning_models import Scripted, data, quiet
from tests.helpers.replayed import random_series
from tracker_integrations.lightning import TrackerCallback, TrackerLogger


def random_settings(chance: random.Random) -> dict[str, Any]:
    """Return the settings of an EarlyStopping."""
    return {
        "patience": chance.choice([0, 1, 2, 3, 5]),
        "mode": chance.choice(["min", "max"]),
        "min_delta": chance.choice([0.0, 0.0, 0.1, 1e-9, 0.05]),
        "check_finite": chance.random() < 0.5,
        "stopping_threshold": chance.choice([None, None, 0.1, 0.5]),
        "divergence_threshold": chance.choice([None, None, 1.0, 0.6]),
    }


def random_saving(chance: random.Random) -> dict[str, Any]:
    """Return the settings of a ModelCheckpoint."""
    return {
        "save_top_k": chance.choice([1, 2, 3, 5, -1]),
        "mode": chance.choice(["min", "max"]),
        "save_last": chance.choice([None, True]),
        "every_n_epochs": chance.choice([None, None, 2]),
    }


def differs(seed: int) -> str | None:
    """Train once, replay, and say what differs; None where nothing does. Records into the working directory."""
    chance = random.Random(seed)
    series, settings = random_series(chance), random_settings(chance)
    fewest, saving = chance.choice([None, None, 4]), random_saving(chance)
    stopper = EarlyStopping("val_loss", **settings)
    saver = ModelCheckpoint(Path("files") / str(seed), monitor="val_loss", **saving)
    logger = TrackerLogger("replay")
    trainer = quiet(
        max_epochs=len(series), min_epochs=fewest, callbacks=[stopper, saver, TrackerCallback()],
        logger=logger, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Scripted(series), data(rows=4))
    run = logger.run.id
    kept = {path.name for path in Path("files", str(seed)).glob("epoch=*.ckpt")}
    found = {
        **_stops(run, trainer),
        **replayed.files(run, {int(name.split("=")[1].split("-")[0]) for name in kept}),
    }
    wrong = {name: pair for name, pair in found.items() if pair[0] != pair[1]}
    given = f"{settings}, min_epochs={fewest}, {saving}, {series}"
    return f"seed {seed}: {wrong} with {given}" if wrong else None


def _stops(run: str, trainer: Any) -> dict[str, tuple[Any, Any]]:
    """Return what a replay says of the stop and the best value, each with what was recorded or trained."""
    (row,) = tracker.replay(run).to_dict("records")
    told = tracker.decisions(run)
    told = told[told["policy"] == "EarlyStopping"]
    best = told[told["verdict"] == "improved"]
    # Where min_epochs held a stop, it takes effect at a later epoch than that of the verdict.
    stop = trainer.current_epoch - 1 if trainer.should_stop else None
    return {
        "epochs": (row["epochs"], trainer.current_epoch),
        "rules": (row["rules"], "lightning-2.6"),
        "best": (replayed.number(row["best"]), _last(best["value"])),
        "best_epoch": (replayed.number(row["best_epoch"]), _last(best["epoch"])),
        "stop_epoch": (replayed.number(row["stop_epoch"]), stop),
    }


def _last(values: Any) -> Any:
    return values.iloc[-1] if len(values) else None


def main() -> None:
    """Try many seeds."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    replayed.main(__doc__, differs)


if __name__ == "__main__":
    main()
