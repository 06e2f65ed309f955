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


def trainer(values: list[float], keep: int) -> list[list[object]]:
    """Record what the Trainer of Transformers has saved; returns epoch, verdict and end of each file."""
    config = {"mode": "min", "keep": keep, "save_best_only": False}
    with tracker.start_run("replays", name="own") as run:
        policy = run.add_policy(
            "ModelCheckpoint", monitor="eval_loss", config=config, rules="transformers-5"
        )
        for epoch, value in enumerate(values):
            run.log_epoch(epoch, {"eval_loss": value})
            folder = f"checkpoint-{epoch}"
            policy.decide("saved", epoch=epoch, value=value, reason="in any words", path=folder)
    files = tracker.replay("own", policy="ModelCheckpoint")
    return [
        [row.epoch, row.verdict, None if row.verdict == "saved" else row.gone_epoch]
        for row in files.itertuples()
    ]


def test_the_trainer_deletes_the_oldest_but_for_the_best() -> None:
    assert trainer([2.0, 1.0, 3.0, 4.0], keep=2) == [
        [0, "pruned", 2], [1, "saved", None], [2, "pruned", 3], [3, "saved", None],
    ]  # fmt: skip


def test_of_one_file_the_trainer_leaves_the_best_at_the_end() -> None:
    assert trainer([1.0, 2.0, 3.0], keep=1) == [
        [0, "saved", None], [1, "pruned", 2], [2, "pruned", 2],
    ]  # fmt: skip


def test_what_is_saved_beside_what_is_judged_is_no_check() -> None:
    saving({1: "save-last", 3: "save-last"}, keep=2)
    files = tracker.replay("own", policy="ModelCheckpoint")
    assert files["epoch"].tolist() == [0, 2]
