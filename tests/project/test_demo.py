"""The demo's trainings, shortened: what is recorded equals what the frameworks' History objects hold."""

from __future__ import annotations

import pytest

import tracker
from tests.project.conftest import Demo


@pytest.mark.xdist_group("docs")
def test_the_demo_database_holds_the_histories(demo: Demo) -> None:
    names = list(demo.histories)
    frame = tracker.compare(names[0], names[-1], metric="val_loss")
    assert frame.index.name == "epoch" and list(frame.columns) == [names[0], names[-1]]
    for name, history in demo.histories.items():
        for metric in ("loss", "val_loss"):
            column = tracker.compare(name, metric=metric)[name]
            assert column.tolist() == history[metric], f"{metric} of {name}"


@pytest.mark.xdist_group("docs")
@pytest.mark.usefixtures("demo")
def test_a_replay_of_the_demo_with_its_own_settings_gives_its_decisions() -> None:
    told = tracker.decisions()
    told = told[told["policy"] == "EarlyStopping"]
    stopped = told[told["verdict"] == "stopped"].set_index("run")["epoch"].to_dict()
    replayed = tracker.replay().set_index("run")
    assert replayed["stop_epoch"].dropna().astype(int).to_dict() == stopped
    best = told.groupby("run")["best_epoch"].last()
    assert replayed["best_epoch"].astype(int).to_dict() == best.astype(int).to_dict()
    files = tracker.replay(policy="ModelCheckpoint").groupby("run")["epoch"].agg(list)
    saved = tracker.decisions().query("verdict == 'saved' and policy == 'ModelCheckpoint'")
    assert files.to_dict() == saved.groupby("run")["epoch"].agg(list).to_dict()
