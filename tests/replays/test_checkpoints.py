"""Which files a ModelCheckpoint with other settings would have saved."""

from __future__ import annotations

import pytest

import tracker


def saving(causes: dict[int, str | None], **config: object) -> None:
    """Record a run whose val_loss falls, and a callback that saved at each epoch, for these causes."""
    with tracker.start_run("replays", name="own") as run:
        policy = run.add_policy(
            "ModelCheckpoint", monitor="val_loss", config={"mode": "min", **config}
        )
        for epoch in range(4):
            run.log_epoch(epoch, {"val_loss": 1.0 - epoch / 10})
            policy.decide(
                "saved",
                epoch=epoch,
                value=1.0 - epoch / 10,
                reason="in any words",
                cause=causes.get(epoch),
            )


@pytest.mark.parametrize("cause", ["exception", "not-written"])
def test_what_the_rule_did_not_decide_is_not_replayed(cause: str) -> None:
    saving({2: cause}, save_best_only=True, filepath="{epoch}.pt")
    files = tracker.replay("own", policy="ModelCheckpoint")
    assert files["epoch"].tolist() == [0, 1, 3]


def test_a_name_for_each_epoch_keeps_all_and_one_name_the_last() -> None:
    saving({}, save_best_only=True, filepath="best.pt")
    files = tracker.replay("own", policy="ModelCheckpoint")
    assert files["verdict"].tolist() == ["replaced", "replaced", "replaced", "saved"]
    assert files["gone_epoch"].dropna().tolist() == [1, 2, 3]
    kept = tracker.replay("own", policy="ModelCheckpoint", keep=2)
    assert kept["verdict"].tolist() == ["pruned", "pruned", "saved", "saved"]
