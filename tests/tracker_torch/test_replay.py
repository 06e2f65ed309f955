"""With a run's own settings a replay says what its callbacks decided."""

from __future__ import annotations

import math
from typing import Any

import pytest

import tracker
from tracker_torch import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, Training

NAN = math.nan
SERIES = [9, 9.5, 9.2, 7, 8, 7.5, 5, 6, 6.5, 5.5, 5.2, 5.1, 1, 2, 3, 4, 4.5, 4.8]
BROKEN = [NAN, 3, 2, None, 2, NAN, 1.5, 1.5, 1.4]


def saves(run: str, **asked: Any) -> tuple[list[int], list[int], list[int]]:
    """Return, as replayed, the epochs of all saves, when files were pruned, and whose files stay."""
    files = tracker.replay(run, policy="ModelCheckpoint", **asked)
    pruned = files.loc[files["verdict"] == "pruned", "gone_epoch"].tolist()
    stay = files.loc[files["verdict"] == "saved", "epoch"].tolist()
    return files["epoch"].tolist(), sorted(pruned), stay


def recorded(run: str, verdict: str, policy: str = "ModelCheckpoint") -> list[int]:
    """Return the epochs of the recorded decisions with a verdict."""
    told = tracker.decisions(run)
    return told.loc[(told["verdict"] == verdict) & (told["policy"] == policy), "epoch"].tolist()


@pytest.mark.parametrize("series", [SERIES, BROKEN])
@pytest.mark.parametrize("rules", ["tracker-1", "keras-3.15"])
@pytest.mark.parametrize(
    "settings",
    [
        {"keep": 2},
        {},
        {"save_best_only": True, "keep": 3},
        {"save_best_only": True},
        {"filepath": "best.pt", "save_best_only": True},
        {"filepath": "newest.pt", "keep": 1},
        {"every_n_epochs": 3, "keep": 1},
        {"save_freq": 2, "keep": 2},
        {"initial_value_threshold": 6.0, "save_best_only": True},
    ],
)
def test_model_checkpoint(feed: Any, series: list[Any], rules: str, settings: Any) -> None:
    callback = ModelCheckpoint(**{"filepath": "ck/{epoch}.pt", "rules": rules, **settings})
    values = [{} if value is None else {"val_loss": value} for value in series]
    with tracker.start_run("torch", name="own"):
        feed(values, callback)
    saved, pruned, _ = saves("own")
    assert (saved, pruned) == (recorded("own", "saved"), recorded("own", "pruned"))


@pytest.mark.parametrize(
    ("settings", "asked", "stay"),
    [
        ({"keep": 2}, {}, [12, 13]),
        ({}, {}, list(range(18))),
        ({"save_best_only": True, "keep": 3}, {}, [3, 6, 12]),
        ({"save_best_only": True, "keep": 2}, {"keep": 3}, [3, 6, 12]),
        ({"filepath": "best.pt", "save_best_only": True}, {}, [12]),
        ({"filepath": "best.pt", "save_best_only": True}, {"keep": 2}, [6, 12]),
        ({"keep": 2}, {"keep": 3}, [12, 13, 14]),
    ],
)
def test_which_files_stay(feed: Any, settings: Any, asked: Any, stay: list[int]) -> None:
    with tracker.start_run("torch", name="own"):
        feed(SERIES, ModelCheckpoint(**{"filepath": "ck/{epoch}.pt", **settings}))
    assert saves("own", **asked)[2] == stay


def test_the_reason_of_a_file_that_stays_is_why_it_was_saved(feed: Any) -> None:
    with tracker.start_run("torch", name="own"):
        feed(SERIES, ModelCheckpoint("{epoch}.pt", keep=2))
    files = tracker.replay("own", policy="ModelCheckpoint")
    told = tracker.decisions("own").query("verdict == 'saved'").set_index("epoch")["reason"]
    stay = files[files["verdict"] == "saved"].set_index("epoch")["reason"]
    assert stay.to_dict() == told.loc[[12, 13]].to_dict()


def test_another_metric_is_judged_by_its_own_mode(feed: Any) -> None:
    """val_accuracy is not minimised because val_loss was."""
    values = [{"val_loss": -one, "val_accuracy": one} for one in (0.1, 0.5, 0.3)]
    with tracker.start_run("torch", name="own"):
        feed(values, ModelCheckpoint("{epoch}.pt", save_best_only=True, keep=1, mode="min"))
    assert saves("own", monitor="val_accuracy")[2] == [1]


@pytest.mark.parametrize("rules", ["tracker-1", "keras-3.15"])
@pytest.mark.parametrize("settings", [{"min_lr": 0.03, "cooldown": 1}, {"factor": 0.1}])
def test_reduce_lr_on_plateau(feed: Any, rules: str, settings: Any) -> None:
    callback = ReduceLROnPlateau(**{"factor": 0.5, "patience": 1, "rules": rules, **settings})
    with tracker.start_run("torch", name="own"):
        feed([1.0] * 12, callback)
    made = tracker.replay("own", policy="ReduceLROnPlateau")
    told = tracker.decisions("own").query("verdict == 'reduced'")
    for column in ("epoch", "reason", "lr_before", "lr_after"):
        assert made[column].tolist() == told[column].tolist()


def test_what_others_do_to_the_learning_rate_is_followed() -> None:
    """A schedule that lifts it again makes room for further reductions."""
    import torch

    net = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    callback = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_lr=0.05)
    with Training(net, optimizer, epochs=6, name="own", callbacks=[callback]) as training:
        for epoch in training.epochs():
            if epoch == 3:
                optimizer.param_groups[0]["lr"] = 0.2
            training.log_epoch(loss=1.0)
    made = tracker.replay("own", policy="ReduceLROnPlateau")["epoch"].tolist()
    assert made == recorded("own", "reduced", "ReduceLROnPlateau") == [1, 3, 4]


def test_of_two_early_stoppings_the_one_that_stopped_is_replayed(feed: Any) -> None:
    values = [{"val_loss": -one, "val_accuracy": 0.5} for one in range(9)]
    stopping = [EarlyStopping("val_loss", patience=2), EarlyStopping("val_accuracy", patience=3)]
    with tracker.start_run("torch", name="own"):
        feed(values, *stopping)
    row = tracker.replay("own").iloc[0]
    assert (row["monitor"], row["stop_epoch"]) == ("val_accuracy", 3)
    assert tracker.replay("own", monitor="val_loss").iloc[0]["patience"] == 2
    assert tracker.runs()["monitor"].tolist() == ["val_accuracy"]
