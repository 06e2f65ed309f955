"""Where a ReduceLROnPlateau with other settings would have lowered the learning rate."""

from __future__ import annotations

import pytest

import tracker


def test_a_schedule_is_followed_in_a_run_without_the_callback() -> None:
    with tracker.start_run("replays", name="own") as run:
        for epoch, rate in enumerate([0.4, 0.4, 0.2, 0.2]):
            run.log_epoch(epoch, {"val_loss": 1.0}, learning_rate=rate)
    made = tracker.replay("own", policy="ReduceLROnPlateau", patience=1, factor=0.5)
    assert made["epoch"].tolist() == [1, 2, 3]
    assert made["lr_before"].tolist() == [0.4, 0.1, 0.05]
    assert made["factor"].tolist() == [0.5, 0.25, 0.125]


def test_recorded_reductions_are_taken_back() -> None:
    """With a patience that is never reached, the rate would have stayed; with a smaller factor, be lower."""
    with tracker.start_run("replays", name="own") as run:
        config = {"patience": 1, "factor": 0.5, "mode": "min"}
        policy = run.add_policy("ReduceLROnPlateau", monitor="val_loss", config=config)
        rate = 0.8
        for epoch in range(4):
            before, rate = rate, rate if epoch == 0 else rate / 2
            run.log_epoch(epoch, {"val_loss": 1.0}, learning_rate=before)
            verdict = "improved" if epoch == 0 else "reduced"
            policy.decide(verdict, epoch=epoch, reason="r", lr_before=before, lr_after=rate)
    own = tracker.replay("own", policy="ReduceLROnPlateau")
    assert own["lr_before"].tolist() == [0.8, 0.4, 0.2]
    slower = tracker.replay("own", policy="ReduceLROnPlateau", patience=3)
    assert slower[["epoch", "lr_before", "lr_after"]].values.tolist() == [[3, 0.8, 0.4]]
    steeper = tracker.replay("own", policy="ReduceLROnPlateau", factor=0.25)
    assert steeper["lr_before"].tolist() == pytest.approx([0.8, 0.2, 0.05])
