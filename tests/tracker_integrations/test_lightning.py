"""Lightning: what is recorded is what Lightning itself reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="make test-neighbours")

from lightning.pytorch.callbacks import (
    EarlyStopping,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
    Timer,
)
from lightning.pytorch.loggers import CSVLogger

import tracker
from tests.conftest import Script
from tests.helpers.lightning_models import Linear, Scripted, csv_rows, data, quiet
from tracker_integrations.lightning import TrackerCallback, TrackerLogger

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def newest() -> Any:
    return tracker.runs().iloc[0]


def series(name: str) -> list[tuple[int, float]]:
    points = tracker.metrics(names=[name])
    return list(zip(points["step"].tolist(), points["value"].tolist(), strict=True))


def csv_series(rows: list[dict[str, str]], name: str) -> list[tuple[int, float]]:
    return [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]


@pytest.mark.parametrize("with_logger", [True, False], ids=["logger", "no code"])
def test_epochs_and_steps_are_those_of_lightning_s_own_csv(folder: Path, with_logger: bool) -> None:
    loggers: list[Any] = [CSVLogger("csv")]
    if with_logger:
        loggers.append(TrackerLogger("demo"))
    trainer = quiet(
        max_epochs=3, logger=loggers, log_every_n_steps=2, enable_checkpointing=False,
        callbacks=[LearningRateMonitor("step")] if with_logger else [],
    )  # fmt: skip
    trainer.fit(Linear(), data(), data(seed=1))
    rows = csv_rows(folder / "csv")
    for name in ("loss_step", "norm", *(["lr-SGD"] if with_logger else [])):
        assert series(name) == csv_series(rows, name), name
    epochs = tracker.epochs(newest()["id"])
    assert len(series("loss_step")) == 9
    for name in ("loss_epoch", "val_loss"):
        assert epochs[name].tolist() == [value for _, value in csv_series(rows, name)], name
    assert epochs["epoch"].tolist() == [0, 1, 2]
    assert sorted(set(epochs.columns) & {"norm", "loss_step", "loss", "lr-SGD"}) == ["loss"]
    assert epochs["learning_rate"].tolist() == [0.1, 0.05, 0.025]
    assert newest()["status"] == "finished"
    assert newest()["experiment"] == ("demo" if with_logger else "Linear")
    assert (newest()["params.lr"], newest()["params.gamma"]) == (0.1, 0.5)


def test_several_validation_loaders_each_have_their_metric() -> None:
    quiet(max_epochs=2, enable_checkpointing=False).fit(
        Linear(), data(), [data(seed=1), data(seed=2)]
    )
    epochs = tracker.epochs(newest()["id"])
    assert {"val_loss/dataloader_idx_0", "val_loss/dataloader_idx_1"} <= set(epochs.columns)
    assert epochs["val_loss/dataloader_idx_0"].notna().all()


def test_the_sanity_check_is_not_recorded() -> None:
    trainer = quiet(max_epochs=0, num_sanity_val_steps=2, logger=TrackerLogger("demo"))
    trainer.fit(Linear(), data(), data(seed=1))
    assert tracker.epochs(newest()["id"]).empty
    assert tracker.metrics(newest()["id"]).empty


def test_validations_within_an_epoch_are_points_at_their_steps(folder: Path) -> None:
    trainer = quiet(
        max_epochs=2, val_check_interval=0.5, logger=[CSVLogger("csv"), TrackerLogger("demo")],
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(Linear(), data(), data(seed=1))
    told = csv_series(csv_rows(folder / "csv"), "val_loss")
    assert series("val_loss") == told
    assert tracker.epochs(newest()["id"])["val_loss"].tolist() == [told[1][1], told[3][1]]


def test_a_validation_every_other_epoch_leaves_the_others_without_its_metric() -> None:
    trainer = quiet(max_epochs=4, check_val_every_n_epoch=2, enable_checkpointing=False)
    trainer.fit(Linear(), data(), data(seed=1))
    missing = tracker.epochs(newest()["id"])["val_loss"].isna().tolist()
    assert missing == [True, False, True, False]


def test_early_stopping_s_checks_are_decisions_and_its_stop_is_the_run_s() -> None:
    stopper = EarlyStopping("val_loss", patience=2)
    quiet(max_epochs=9, enable_checkpointing=False, callbacks=[stopper]).fit(
        Scripted([3.0, 2.0, 2.5, 2.25, 1.0]), data()
    )
    told = tracker.decisions(newest()["id"])
    assert told["verdict"].tolist() == ["improved", "improved", "waited", "stopped"]
    assert told["wait"].tolist() == [0, 0, 1, 2]
    assert told["best"].tolist() == [3.0, 2.0, 2.0, 2.0]
    assert (
        told["reason"].tolist()[-1] == "val_loss 2.250 did not beat 2.000 (epoch 1); 2 of 2 waits"
    )
    assert newest()["status"] == "stopped_early"
    assert newest()["reason"] == told["reason"].tolist()[-1]
    assert (stopper.stopped_epoch, stopper.wait_count) == (3, 2)


@pytest.mark.parametrize(
    ("settings", "values", "reason"),
    [
        (
            {"stopping_threshold": 1.5},
            [3.0, 1.0],
            "val_loss 1.000 reached the stopping threshold 1.5",
        ),
        (
            {"divergence_threshold": 9},
            [3.0, 10.0],
            "val_loss 10.00 is past the divergence threshold 9",
        ),
        ({}, [3.0, float("nan")], "val_loss is NaN, and check_finite stops at once"),
        ({"patience": 1}, [float("nan")], "val_loss is NaN, and check_finite stops at once"),
    ],
)
def test_other_causes_of_a_stop_are_named(
    settings: dict[str, Any], values: list[float], reason: str
) -> None:
    stopper = EarlyStopping("val_loss", **settings)
    trainer = quiet(max_epochs=len(values) + 1, enable_checkpointing=False, callbacks=[stopper])
    trainer.fit(Scripted([*values, 0.5]), data())
    assert newest()["reason"] == reason
    assert tracker.decisions(newest()["id"])["verdict"].tolist()[-1] == "stopped"


def test_a_stop_that_min_epochs_holds_back_is_said_to_wait() -> None:
    stopper = EarlyStopping("val_loss", patience=1)
    trainer = quiet(min_epochs=4, max_epochs=9, enable_checkpointing=False, callbacks=[stopper])
    trainer.fit(Scripted([1.0, 2.0, 3.0, 4.0, 5.0]), data())
    told = tracker.decisions(newest()["id"])
    assert told["verdict"].tolist() == ["improved", "waited", "waited", "stopped"]
    assert told["reason"].tolist()[1].endswith("training continues until 4 epochs are done")
    assert trainer.current_epoch == 4


def test_a_stop_by_hand_and_one_by_the_clock_have_their_reasons() -> None:
    class Stops(Scripted):
        def on_train_epoch_end(self) -> None:
            self.trainer.should_stop = self.current_epoch == 1

    quiet(max_epochs=5, enable_checkpointing=False).fit(Stops([]), data())
    assert newest()["status"] == "stopped_early"
    assert "should_stop" in newest()["reason"]
    timer = Timer(duration={"seconds": 0}, interval="epoch")
    quiet(max_epochs=5, enable_checkpointing=False, callbacks=[timer]).fit(
        Scripted([1.0] * 5), data()
    )
    assert newest()["reason"] == "training has taken 0 s, which is all the time it has"


def test_the_best_files_are_registered_and_those_that_lightning_deletes_are_pruned(
    folder: Path,
) -> None:
    saver = ModelCheckpoint("ck", "{epoch}", monitor="val_loss", save_top_k=2, save_last=True)
    quiet(max_epochs=5, callbacks=[saver]).fit(Scripted([4.0, 3.0, 5.0, 2.0, 1.0]), data())
    files = tracker.checkpoints(newest()["id"])
    available = files[files["state"] == "available"]
    assert {Path(path).name for path in available["path"]} == {
        "epoch=3.ckpt", "epoch=4.ckpt", "last.ckpt"
    }  # fmt: skip
    assert {path.name for path in (folder / "ck").iterdir()} == {
        Path(path).name for path in available["path"]
    }
    by_name = {
        Path(path).name: value
        for path, value in zip(available["path"], available["value"], strict=True)
    }
    assert by_name["epoch=4.ckpt"] == 1.0
    assert Path(saver.best_model_path).name == "epoch=4.ckpt"
    told = tracker.decisions(newest()["id"])
    pruned = told[told["verdict"] == "pruned"]
    assert [Path(path).name for path in pruned["path"]] == ["epoch=0.ckpt", "epoch=1.ckpt"]
    assert "is not among the 2 best" in pruned["reason"].iloc[0]
    assert told[told["verdict"] == "skipped"]["epoch"].tolist() == [2]


def test_files_without_a_monitor_and_files_by_steps_are_registered(folder: Path) -> None:
    plain = ModelCheckpoint("plain", "{epoch}")
    steps = ModelCheckpoint("steps", "{step}", every_n_train_steps=4, save_top_k=-1)
    quiet(max_epochs=2, callbacks=[plain, steps]).fit(Linear(), data(), data(seed=1))
    files = tracker.checkpoints(newest()["id"])
    available = sorted(Path(p).name for p in files[files["state"] == "available"]["path"])
    assert available == ["epoch=1.ckpt", "step=12.ckpt", "step=4.ckpt", "step=8.ckpt"]
    assert files[files["path"].str.contains("step=8")]["epoch"].tolist() == [1]
    assert tracker.checkpoints(newest()["id"], database=None).shape[0] == 5


@pytest.mark.parametrize("with_logger", [True, False], ids=["logger", "no code"])
def test_a_training_that_starts_from_a_checkpoint_continues_its_run(with_logger: bool) -> None:
    def fit(epochs: int, **options: Any) -> Any:
        saver = ModelCheckpoint("ck", "{epoch}", monitor="val_loss", save_top_k=-1)
        stopper = EarlyStopping("val_loss", patience=3)
        trainer = quiet(
            max_epochs=epochs, callbacks=[saver, stopper],
            logger=TrackerLogger("demo") if with_logger else False,
        )  # fmt: skip
        trainer.fit(Scripted([3.0, 2.0, 4.0, 4.5, 5.0, 6.0]), data(), **options)
        return saver

    fit(3)
    first = newest()["id"]
    fit(6, ckpt_path="ck/epoch=1.ckpt")
    assert len(tracker.runs()) == 1
    assert newest()["id"] == first
    assert newest()["status"] == "stopped_early"
    epochs = tracker.epochs(first)
    assert epochs["val_loss"].tolist() == [3.0, 2.0, 4.0, 4.5, 5.0]
    assert epochs["attempt"].tolist() == [1, 1, 2, 2, 2]
    told = tracker.decisions(first)
    stops = told[told["policy"] == "EarlyStopping"]
    assert stops["wait"].tolist() == [0, 0, 1, 2, 3]
    assert (
        stops["reason"].tolist()[-1] == "val_loss 5.000 did not beat 2.000 (epoch 1); 3 of 3 waits"
    )


def test_a_run_that_named_the_folder_of_a_resumed_training_is_taken_back() -> None:
    def fit(epochs: int, **options: Any) -> Any:
        trainer = quiet(
            max_epochs=epochs, logger=TrackerLogger("demo"), callbacks=[ModelCheckpoint()]
        )
        trainer.fit(Scripted([3.0, 2.0, 1.0]), data(), **options)
        return trainer.checkpoint_callback.best_model_path

    path = fit(2)
    first = newest()["id"]
    assert Path(path).parts[-4:-1] == ("demo", first, "checkpoints")
    fit(3, ckpt_path=path)
    assert tracker.runs()["id"].tolist() == [first]
    assert tracker.epochs(first)["val_loss"].tolist() == [3.0, 2.0, 1.0]


def test_a_checkpoint_of_nobody_begins_a_run(folder: Path) -> None:
    quiet(max_epochs=1, callbacks=[ModelCheckpoint("ck", "a")]).fit(Scripted([1.0]), data())
    first = newest()["id"]
    os.environ["TRACKER_DATABASE_URL"] = str(folder / "elsewhere")
    try:
        quiet(max_epochs=2, enable_checkpointing=False).fit(
            Scripted([1.0, 2.0]), data(), ckpt_path="ck/a.ckpt"
        )
        assert newest()["id"] != first
        assert tracker.epochs(newest()["id"])["epoch"].tolist() == [1]
    finally:
        del os.environ["TRACKER_DATABASE_URL"]


def test_an_error_and_an_interrupt_are_the_run_s_end() -> None:
    class Fails(Scripted):
        error: BaseException = ValueError("no such layer")

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.current_epoch == 1:
                raise self.error
            return super().training_step(batch, batch_idx)

    with pytest.raises(ValueError, match="no such layer"):
        quiet(max_epochs=3, enable_checkpointing=False).fit(Fails([1.0, 2.0]), data())
    assert newest()["status"] == "failed"
    assert tracker.epochs(newest()["id"])["val_loss"].tolist() == [1.0]
    interrupted = Fails([1.0, 2.0])
    interrupted.error = KeyboardInterrupt()
    with pytest.raises(SystemExit):
        quiet(max_epochs=3, enable_checkpointing=False).fit(interrupted, data())
    assert newest()["status"] == "interrupted"


def test_a_file_that_is_saved_at_an_error_is_registered() -> None:
    class Fails(Scripted):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.current_epoch == 1:
                raise ValueError("no such layer")
            return super().training_step(batch, batch_idx)

    saver = ModelCheckpoint("ck", "{step}", every_n_epochs=9, save_on_exception=True)
    with pytest.raises(ValueError, match="no such layer"):
        quiet(max_epochs=3, callbacks=[saver]).fit(Fails([1.0, 2.0]), data())
    assert [Path(p).name for p in tracker.checkpoints(newest()["id"])["path"]] == ["step=6.ckpt"]


def test_off_leaves_out_trainers_without_our_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_LIGHTNING", "off")
    quiet(max_epochs=1, enable_checkpointing=False).fit(Scripted([1.0]), data())
    assert tracker.runs().empty
    quiet(max_epochs=1, enable_checkpointing=False, logger=TrackerLogger("demo")).fit(
        Scripted([1.0]), data()
    )
    assert tracker.epochs(newest()["id"])["val_loss"].tolist() == [1.0]


@pytest.mark.parametrize("options", [{"fast_dev_run": True}, {"barebones": True, "max_epochs": 1}])
def test_a_try_out_is_not_recorded(options: dict[str, Any]) -> None:
    from lightning.pytorch import Trainer

    Trainer(accelerator="cpu", **options).fit(Scripted([None]), data())
    assert tracker.runs().empty


def test_two_of_our_callbacks_record_once() -> None:
    trainer = quiet(max_epochs=2, enable_checkpointing=False, callbacks=[TrackerCallback()])
    trainer.fit(Scripted([1.0, 2.0]), data())
    assert len(tracker.runs()) == 1


def test_lightning_s_own_view_of_its_callbacks_stays() -> None:
    trainer = quiet(max_epochs=1, enable_checkpointing=False)
    trainer.fit(Scripted([1.0]), data())
    assert trainer.checkpoint_callback is None
    assert trainer.logger is None
    saver = ModelCheckpoint("ck", "a")
    trainer = quiet(max_epochs=1, callbacks=[saver])
    trainer.fit(Scripted([1.0]), data())
    assert trainer.checkpoint_callback is saver
    assert trainer.checkpoint_callbacks == [saver]


def test_a_run_that_is_active_is_joined() -> None:
    with tracker.start_run("outer", name="mine") as run:
        quiet(max_epochs=2, enable_checkpointing=False).fit(Scripted([1.0, 2.0]), data())
        assert not run.finished
    assert tracker.epochs("mine")["val_loss"].tolist() == [1.0, 2.0]


def test_a_second_fit_is_a_second_run() -> None:
    trainer = quiet(max_epochs=1, enable_checkpointing=False)
    model = Scripted([1.0, 2.0])
    trainer.fit(model, data())
    trainer.fit_loop.max_epochs = 2
    trainer.fit(model, data())
    assert tracker.epochs()["epoch"].tolist() in ([0, 1], [1, 0])
    assert len(tracker.runs()) == 2


def test_a_test_after_fit_adds_to_the_run(folder: Path) -> None:
    trainer = quiet(
        max_epochs=1, enable_checkpointing=False, logger=[CSVLogger("csv"), TrackerLogger("demo")]
    )
    model = Linear()
    trainer.fit(model, data(), data(seed=1))
    trainer.test(model, data(seed=2), verbose=False)
    assert len(tracker.runs()) == 1
    assert newest()["status"] == "finished"
    assert series("test_loss") == csv_series(csv_rows(folder / "csv"), "test_loss")


def test_a_rate_that_is_searched_for_is_a_decision_and_the_search_no_training() -> None:
    finder = LearningRateFinder(num_training_steps=20)
    trainer = quiet(
        max_epochs=1, enable_checkpointing=False, callbacks=[finder], logger=TrackerLogger("demo")
    )
    trainer.fit(Linear(), data(rows=200), data(seed=1))
    told = tracker.decisions(newest()["id"])
    (found,) = told[told["policy"] == "LearningRateFinder"].to_dict("records")
    assert found["lr_after"] == finder.optimal_lr.suggestion()
    assert len(tracker.epochs(newest()["id"])) == 1
    assert max(step for step, _ in series("norm")) < 50


def test_weight_averaging_is_two_decisions() -> None:
    averaging = StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2)
    quiet(max_epochs=4, enable_checkpointing=False, callbacks=[averaging]).fit(
        Linear(), data(), data(seed=1)
    )
    told = tracker.decisions(newest()["id"])
    assert told["verdict"].tolist() == ["scheduled", "restored"]
    assert told["epoch"].tolist() == [1, 3]
    assert told["reason"].tolist()[0] == "weights are averaged from epoch 1 on"


def test_what_cannot_be_recorded_does_not_stop_a_training_that_nobody_asked_to_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("not a database")
    monkeypatch.setenv("TRACKER_DATABASE_URL", str(folder / "file"))
    trainer = quiet(max_epochs=1, enable_checkpointing=False)
    with pytest.warns(UserWarning, match="this training is not recorded"):
        trainer.fit(Scripted([1.0]), data())
    assert trainer.current_epoch == 1
    with pytest.raises(tracker.StoreError):
        quiet(max_epochs=1, enable_checkpointing=False, logger=TrackerLogger("demo")).fit(
            Scripted([1.0]), data()
        )


@pytest.mark.parametrize("with_logger", [True, False], ids=["logger", "no code"])
def test_a_rate_that_is_monitored_is_its_own_epoch_s(with_logger: bool) -> None:
    loggers: list[Any] = [CSVLogger("csv"), *([TrackerLogger("demo")] if with_logger else [])]
    quiet(
        max_epochs=3, logger=loggers, enable_checkpointing=False,
        callbacks=[LearningRateMonitor("epoch")],
    ).fit(Linear(), data())  # fmt: skip
    epochs = tracker.epochs(newest()["id"])
    assert epochs["lr-SGD"].tolist() == pytest.approx(epochs["learning_rate"].tolist())


def test_a_file_that_an_earlier_attempt_saved_is_pruned_with_its_value() -> None:
    def train(epochs: int, resume: str | None = None) -> None:
        saver = ModelCheckpoint("ck", "{epoch}", monitor="val_loss", save_last=True)
        trainer = quiet(max_epochs=epochs, callbacks=[saver])
        trainer.fit(Scripted([2.0, 1.0]), data(), ckpt_path=resume, weights_only=False)

    train(1)
    train(2, "last")
    decisions = tracker.decisions(newest()["id"])
    pruned = decisions[decisions["verdict"] == "pruned"]
    assert pruned["value"].tolist() == [2.0]
    assert pruned["reason"].tolist() == ["val_loss 2.000 is not among the 1 best, down to 1.000 (epoch 1)"]  # fmt: skip


def test_a_file_of_an_earlier_fit_that_lightning_deletes_is_pruned() -> None:
    trainer = quiet(max_epochs=1, callbacks=[ModelCheckpoint("ck", "{epoch}", monitor="val_loss")])
    model = Scripted([2.0, 1.0])
    trainer.fit(model, data())
    trainer.fit_loop.max_epochs = 2
    trainer.fit(model, data())
    states = tracker.checkpoints().sort_values("epoch")["state"]
    assert states.tolist() == ["pruned", "available"]


@pytest.mark.filterwarnings("always::UserWarning")
@pytest.mark.parametrize("with_logger", [True, False], ids=["logger", "no code"])
def test_what_nobody_gave_is_not_said_to_be_unused(
    with_logger: bool, recwarn: pytest.WarningsRecorder
) -> None:
    with tracker.start_run("outer", name="mine"):
        trainer = quiet(
            max_epochs=1, logger=TrackerLogger() if with_logger else False,
            enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(Scripted([1.0]), data())
    assert newest()["experiment"] == "outer"
    said = [str(one.message) for one in recwarn]
    assert not [sentence for sentence in said if sentence.startswith("local-tracker")]


def test_an_epoch_without_a_validation_is_no_reason_not_to_save() -> None:
    saver = ModelCheckpoint("ck", "{epoch}", monitor="val_loss", every_n_epochs=1)
    trainer = quiet(max_epochs=4, check_val_every_n_epoch=2, callbacks=[saver])
    trainer.fit(Linear(), data(), data(seed=1))
    told = tracker.decisions(newest()["id"])
    assert set(told["epoch"]) == {1, 3}


AFTER = """
from lightning.pytorch.callbacks import EarlyStopping
from tests.helpers.lightning_models import Linear, Scripted, data, quiet
from tracker_integrations.lightning import TrackerLogger

logger = TrackerLogger("demo")
stopping = EarlyStopping("val_loss", patience=1)
trainer = quiet(max_epochs=3, logger=logger, enable_checkpointing=False, callbacks=[stopping])
try:
    trainer.fit(Scripted({values}), data())
except ValueError:
    pass
{after}
"""


@pytest.mark.parametrize(
    "after",
    [
        "logger.log_metrics({'after': 1.0}, step=99)",
        "logger.experiment.log({'after': 1.0}, step=99)",
    ],
    ids=["logger", "experiment"],
)
@pytest.mark.parametrize(
    ("values", "status"),
    [([3.0, 2.0, 1.0], "finished"), ([1.0, 2.0, 3.0], "stopped_early"), ([1.0, "x"], "failed")],
    ids=["finished", "stopped", "failed"],
)
def test_what_is_logged_after_a_fit_leaves_its_ending(
    script: Script, values: list[Any], status: str, after: str
) -> None:
    process = script(AFTER.format(values=values, after=after))
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    row = newest()
    assert (row["status"], row["experiment"]) == (status, "demo")
    assert row["reason"] != "the process ended before the training did"
    assert series("after") == [(99, 1.0)]


def test_a_fit_after_what_was_logged_is_a_run_of_its_own() -> None:
    logger = TrackerLogger("demo")
    for _ in range(2):
        trainer = quiet(max_epochs=1, logger=logger, enable_checkpointing=False)
        trainer.fit(Scripted([1.0]), data())
        logger.log_metrics({"after": 1.0}, step=99)
    runs = tracker.runs()
    assert runs["epochs"].tolist() == [1, 1]
    assert runs["status"].tolist()[1] == "finished"
