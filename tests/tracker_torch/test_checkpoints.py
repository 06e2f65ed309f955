from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import Problem, ask, decisions, step
from tracker.policies import Retention
from tracker_torch import (
    CallbackList,
    LambdaCallback,
    ModelCheckpoint,
    Training,
    load_checkpoint,
)
from tracker_torch.state.path_template import FileName

NAN = math.nan


def names(folder: str = "ck") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []


@pytest.mark.parametrize(
    ("keep", "stay"),
    [(2, ["1.pt", "3.pt"]), (None, ["1.pt", "2.pt", "3.pt", "4.pt"]), (0, []), (1, ["3.pt"])],
)
def test_the_k_best_files_stay(feed: Any, keep: int | None, stay: list[str]) -> None:
    feed(
        [1, -2, 3, -4],
        ModelCheckpoint("ck/{epoch}.pt", "score", mode="max", keep=keep),
        monitor="score",
    )
    assert names() == stay
    rows = ask("SELECT path FROM checkpoint WHERE state = 'available' ORDER BY 1")
    assert [Path(path).name for (path,) in rows] == stay


def test_while_the_database_is_locked_files_are_kept_and_deleted_as_ever(feed: Any) -> None:
    """What is recorded waits then; it is no reason to take a file for deleted, or for a stranger's."""
    others: list[sqlite3.Connection] = []

    def lock(epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            others.append(sqlite3.connect(".tracker/tracker.db", isolation_level=None))
            others[0].execute("BEGIN EXCLUSIVE")
        if epoch == 3:
            others[0].close()

    kept = ModelCheckpoint("ck/{epoch}.pt", mode="max", keep=1)
    same = ModelCheckpoint("ck/best.pt", mode="max", save_best_only=True)
    feed([1, 2, 3, 4], LambdaCallback(on_epoch_begin=lock), kept, same)
    assert names() == ["4.pt", "best.pt"]
    rows = ask("SELECT path FROM checkpoint WHERE state = 'available' ORDER BY 1")
    assert [Path(path).name for (path,) in rows] == names()
    pruned = [(epoch, path) for epoch, verdict, path in decisions(None, "d.epoch, d.verdict, d.path")
              if verdict == "pruned"]  # fmt: skip
    assert pruned == [(1, "ck/1.pt"), (2, "ck/2.pt"), (3, "ck/3.pt")]


def test_a_file_of_which_nothing_can_be_known_waits(feed: Any) -> None:
    """An earlier attempt's file is deleted once the database answers again."""
    with tracker.start_run(name="r"):
        feed([1, 2], ModelCheckpoint("ck/{epoch}.pt", mode="max", keep=1))
    kept = ModelCheckpoint("ck/{epoch}.pt", mode="max", keep=1)
    database, away = Path(".tracker/tracker.db"), Path("away.db")

    def move(epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            database.rename(away)
        if epoch == 3:
            away.rename(database)

    with tracker.start_run(resume="r"):
        feed([1, 2, 3, 4], LambdaCallback(on_epoch_begin=move), kept)
    assert names() == ["4.pt"]


def test_without_a_monitor_the_last_k_stay(feed: Any) -> None:
    feed([1, 2, 3, 4], ModelCheckpoint("ck/{epoch}.pt", None, keep=2))
    assert names() == ["3.pt", "4.pt"]


RULES = [
    (Retention(best=1, last=2), ["2.pt", "7.pt", "8.pt"]),
    (Retention(best=1, every=3), ["2.pt", "3.pt", "6.pt"]),
    (Retention(last=1), ["2.pt", "8.pt"]),
    (Retention(every=4), ["2.pt", "4.pt", "8.pt"]),
    (Retention(size=0), ["2.pt", "8.pt"]),
]
SCORES = [4, 1, 5, 2, 6, 3, 7, 8]


@pytest.mark.parametrize(("keep", "stay"), RULES)
def test_a_rule_keeps_the_best_the_last_every_nth_and_what_has_room(
    feed: Any, keep: Retention, stay: list[str]
) -> None:
    with tracker.start_run(name="r"):
        feed(SCORES, ModelCheckpoint("ck/{epoch}.pt", mode="min", keep=keep))
    assert names() == stay
    recorded = tracker.checkpoints("r").query("state == 'available'")["path"]
    assert sorted(Path(path).name for path in recorded) == stay
    files = tracker.replay("r", policy="ModelCheckpoint").query("verdict == 'saved'")
    assert [f"{epoch + 1}.pt" for epoch in files["epoch"]] == stay
    ((config,),) = ask("SELECT config FROM policy")
    assert Retention.of(json.loads(config)["keep"], "val_loss", "min") == Retention.of(
        keep, "val_loss", "min"
    )


def test_of_two_that_tie_the_older_stays(feed: Any) -> None:
    feed([2, 1, 1, 1], ModelCheckpoint("ck/{epoch}.pt", keep=1))
    assert names() == ["2.pt"]
    assert decisions("ModelCheckpoint") == [
        (0, "saved"), (1, "saved"), (1, "pruned"), (2, "skipped"), (3, "skipped"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{epoch:03d}.pt", "001.pt"),
        ("{acc:.2f}-{acc_top5:.1f}.pt", "0.50-0.9.pt"),
        ("{val/loss:.2f}-{m.x}.pt", "0.25-3.0.pt"),
        ("step{step:04d}.pth", "step0000.pth"),
        ("{{x}}-{epoch}.pt", "{x}-1.pt"),
    ],
)
def test_names_are_filled_in(feed: Any, template: str, name: str) -> None:
    logs = {"acc": 0.5, "acc_top5": 0.9, "val/loss": 0.25, "m.x": 3.0, "val_loss": 1.0}
    feed([logs], ModelCheckpoint(f"ck/{template}"))
    assert names() == [name]


def test_a_metric_that_never_comes_is_named_at_the_first_save_and_at_the_end(feed: Any) -> None:
    with pytest.warns(UserWarning) as warned:
        feed([1, 1], ModelCheckpoint("{acc:.2f}.pt"))
    first, last = (str(one.message) for one in warned)
    assert "asks for 'acc'" in first and "there are epoch, step, run, val_loss" in first
    assert "saved nothing as '{acc:.2f}.pt'" in last
    assert not list(Path().glob("*.pt"))


@pytest.mark.parametrize("bad", ["", "ck/", "model", "model.keras", "{epoch.pt", "."])
def test_a_path_that_names_no_torch_file_is_refused(bad: str) -> None:
    with pytest.raises(tracker.BadValue, match="filepath"):
        ModelCheckpoint(bad)


def test_a_template_reaches_no_attributes_of_values() -> None:
    with pytest.raises(tracker.BadValue, match=r"asks for 'epoch\.real'"):
        FileName("{epoch.real}.pt").fill({"epoch": 1}, {})


def test_a_first_nan_does_not_block_later_values_and_is_never_the_best(feed: Any) -> None:
    keeper = ModelCheckpoint("best.pt", save_best_only=True)
    feed([NAN, 3, 2, NAN], keeper)
    assert (keeper.best, keeper.best_epoch) == (2, 2)
    assert [verdict for _, verdict in decisions("ModelCheckpoint")] == [
        "skipped",
        "saved",
        "saved",
        "skipped",
    ]


def test_every_n_epochs_counts_from_one(feed: Any) -> None:
    feed([1] * 7, ModelCheckpoint("ck/{epoch}.pt", every_n_epochs=3))
    assert names() == ["3.pt", "6.pt"]


def test_every_n_steps_goes_on_across_epochs() -> None:
    loop = CallbackList([ModelCheckpoint("ck/{step:03d}.pt", None, save_freq=16)], nn.Linear(1, 1))
    loop.on_train_begin()
    for epoch in range(2):
        for batch in range(64):
            loop.on_train_batch_end(batch, {"loss": 1.0})
        loop.on_epoch_end(epoch, {"loss": 1.0})
    loop.on_train_end()
    assert names() == [f"{n:03d}.pt" for n in range(16, 129, 16)]


@pytest.mark.parametrize("off", [{"save_freq": 0}, {"every_n_epochs": 0}])
def test_zero_turns_it_off(feed: Any, off: dict[str, int]) -> None:
    feed([1, 1], ModelCheckpoint("ck/{epoch}.pt", **off))
    assert names() == []


@pytest.mark.parametrize(
    "bad",
    [
        {"save_freq": -1},
        {"every_n_epochs": -2},
        {"save_freq": "day"},
        {"save_freq": 5, "every_n_epochs": 2},
    ],
)
def test_negative_unknown_and_double_triggers_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(tracker.BadValue):
        ModelCheckpoint("a.pt", **bad)


def test_keeping_several_files_of_one_name_is_refused() -> None:
    with pytest.raises(tracker.BadValue, match="the same for every save"):
        ModelCheckpoint("best.pt", keep=3)


def failing(wine: Problem, *callbacks: Any, at: int = 3) -> None:
    model = wine.net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Training(model, optimizer, 5, callbacks=callbacks) as training:
        for epoch in training.epochs():
            for number, (x, y) in enumerate(training.batches(wine.loader())):
                training.log(loss=step(model, optimizer, x, y))
                if epoch == 1 and number == at:
                    raise ZeroDivisionError("the loop's own")
            training.log_epoch(val_loss=wine.val_loss(model))


def test_when_training_raises_its_state_is_left_behind_and_the_exception_comes_out(
    wine: Problem,
) -> None:
    with pytest.raises(ZeroDivisionError, match="the loop's own"):
        failing(wine, ModelCheckpoint("ck/{epoch}.pt", save_on_exception=True))
    assert names() == ["1.pt", "exception.pt"]
    found = load_checkpoint("ck/exception.pt", wine.net())
    assert found == {"epoch": 1, "step": 8, "complete": False}
    assert ask("SELECT status FROM run") == [("failed",)]


def test_nothing_is_left_behind_where_that_step_was_saved(wine: Problem) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(wine, ModelCheckpoint("ck/{step}.pt", None, save_freq=1, save_on_exception=True))
    assert "exception.pt" not in names()


def test_last_holds_the_newest_state_beside_the_best(feed: Any) -> None:
    feed([1, 2, 3], ModelCheckpoint("ck/best.pt", save_best_only=True, save_last=True))
    assert names() == ["best.pt", "last.pt"]
    assert load_checkpoint("ck/best.pt")["epoch"] == 0
    assert load_checkpoint("ck/last.pt")["epoch"] == 2


def test_last_as_a_link_is_relative_and_follows_the_newest_file(feed: Any) -> None:
    feed([3, 2], ModelCheckpoint("ck/{epoch}.pt", keep=1, save_last="link"))
    assert str(Path("ck/last.pt").readlink()) == "2.pt"
    assert load_checkpoint("ck/last.pt")["epoch"] == 1


def test_where_links_cannot_be_made_last_is_a_copy(feed: Any, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    feed([3, 2], ModelCheckpoint("ck/{epoch}.pt", save_last="link"))
    assert not Path("ck/last.pt").is_symlink()
    assert load_checkpoint("ck/last.pt")["epoch"] == 1


def test_a_second_run_writes_the_path_that_it_was_given_and_the_best_of_the_first_is_kept(
    feed: Any,
) -> None:
    feed([3, 1], ModelCheckpoint("best.pt", save_best_only=True))
    before = Path("best.pt").read_bytes()
    feed([4, 5, 2], ModelCheckpoint("best.pt", save_best_only=True))
    assert load_checkpoint("best.pt")["epoch"] == 2
    (kept,) = tracker.checkpoints().query("state == 'available' and value == 1")["file"]
    assert Path(kept).read_bytes() == before
    assert load_checkpoint(kept)["epoch"] == 1
    assert not list(Path().glob("best-*"))


def test_a_template_names_the_run_and_its_experiment(feed: Any) -> None:
    with tracker.start_run("some/../thing", name="..first try") as run:
        feed([1], ModelCheckpoint("{experiment}/{name}-{run}-{epoch}.pt"))
    assert Path(f"some-..-thing/first-try-{run.id}-1.pt").is_file()


def test_whoever_looks_at_the_run_sees_complete_files_only_once_each(feed: Any) -> None:
    from tracker_torch import LambdaCallback

    seen = []

    def look(epoch: int, logs: Any) -> None:
        for one in tracker.active_run().checkpoints():
            assert len(one.path.read_bytes()) == one.bytes
            seen.append(one.epoch)

    judge = LambdaCallback(on_epoch_end=look)
    judge.order = 2
    feed([1, 2], ModelCheckpoint("ck/{epoch}.pt"), judge)
    assert seen == [0, 0, 1]


def test_a_full_disk_is_a_warning_and_the_older_file_stays(feed: Any, monkeypatch: Any) -> None:
    keeper = ModelCheckpoint("best.pt", save_best_only=True)
    dump = keeper._dump

    def full(file: Path, batch: Any) -> None:
        if keeper.loop.epoch == 1:
            raise OSError(28, "No space left on device")
        dump(file, batch)

    keeper._dump = full  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="training continues without it"):
        feed([3, 1, 2], keeper)
    assert (keeper.best, load_checkpoint("best.pt")["epoch"]) == (2, 2)
    assert [verdict for _, verdict in decisions("ModelCheckpoint")] == ["saved", "skipped", "saved"]
    assert names(".") == [".tracker", "best.pt"]


def test_a_strict_run_raises_what_cannot_be_saved(wine: Problem, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    keeper = ModelCheckpoint("best.pt")
    monkeypatch.setattr(keeper, "_dump", full)
    with (
        pytest.raises(OSError, match="No space left"),
        Training(wine.net(), None, 1, callbacks=[keeper], strict=True) as training,
    ):
        list(training.epochs())


def test_it_says_with_keras_words_what_it_does(feed: Any, capsys: Any) -> None:
    feed([1, 2], ModelCheckpoint("a.pt", save_best_only=True, verbose=1))
    assert capsys.readouterr().out == (
        "\nEpoch 1: val_loss improved from None to 1.00000, saving model to a.pt\n"
        "\nEpoch 1: finished saving model to a.pt\n"
        "\nEpoch 2: val_loss did not improve from 1.00000\n"
    )
