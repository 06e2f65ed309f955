"""BackupAndRestore: a backup is whole, is the right one, and goes when it is not needed any more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import tracker
from tracker_keras import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    TrackerCallback,
)


def interrupted(fit, model, backup, at=2, **options):
    """Train until epoch ``at`` has been backed up, then break off."""

    def stop(epoch, logs):
        if epoch == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            model,
            [backup, keras.callbacks.LambdaCallback(on_epoch_begin=stop)],
            epochs=5,
            **options,
        )


STEPS = {
    "before the new weights": ["next.weights.h5"],
    "before the new metadata": ["training_metadata.json.next"],
    "before either took its place": [],
    "between the two": [],
    "after both": [],
}


@pytest.mark.parametrize("step", STEPS)
def test_no_kill_leaves_a_torn_backup(step, fit, build, same_weights):
    """Whatever of the four files a kill leaves, weights and epoch restored are of one moment."""
    older, newer = build(), build()
    interrupted(fit, older, BackupAndRestore("b"), at=1)
    shutil.copytree("b", "older")
    shutil.rmtree("b")
    interrupted(fit, newer, BackupAndRestore("b"), at=2)
    shutil.copytree("b", "newer")
    weights, metadata = "latest.weights.h5", "training_metadata.json"
    if step != "after both":
        shutil.copy(f"older/{metadata}", f"b/{metadata}")
        shutil.copy(f"newer/{metadata}", f"b/{metadata}.next")
    if step not in ("after both", "between the two"):
        shutil.copy(f"older/{weights}", f"b/{weights}")
        shutil.copy(f"newer/{weights}", "b/next.weights.h5")
    for name in STEPS[step]:
        Path("b", name).write_bytes(Path("b", name).read_bytes()[:100])
    model = build()
    fit(model, [BackupAndRestore("b", delete_checkpoint=False)], epochs=0)
    expected, epoch = (newer, 2) if step in ("after both", "between the two") else (older, 1)
    assert model._initial_epoch == epoch and same_weights(model, expected)


def test_a_damaged_backup_is_noticed(fit, build):
    """A flipped byte is an error that says what to do; Keras might load it."""
    interrupted(fit, build(), BackupAndRestore("b"))
    path = Path("b/latest.weights.h5")
    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(OSError, match="The backup in b is damaged"):
        fit(build(), [BackupAndRestore("b")])


def test_a_backup_of_keras_own_is_taken_over(fit, build, same_weights):
    """One that was written before the import line changed."""
    before, after = build(), build()
    interrupted(fit, before, keras.callbacks.BackupAndRestore("b"))
    fit(after, [BackupAndRestore("b")], epochs=2)
    assert same_weights(before, after)


def test_a_backup_that_cannot_be_saved_leaves_the_one_before_and_the_training(fit, build, caplog):
    """What stands in the way of the new file is a folder, as nothing else holds up the administrator of a machine."""
    obstacle = Path("b/next.weights.h5")

    def obstruct(epoch, logs):
        if epoch == 1:
            (obstacle / "full").mkdir(parents=True)
        elif epoch == 3:
            assert json.loads(Path("b/training_metadata.json").read_text())["epoch"] == 1
            shutil.rmtree(obstacle)

    def fails_at_the_end(epoch, logs):
        if epoch == 4:
            raise KeyboardInterrupt

    callbacks = [BackupAndRestore("b"), keras.callbacks.LambdaCallback(on_epoch_begin=obstruct)]
    stop = keras.callbacks.LambdaCallback(on_epoch_begin=fails_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        fit(build(), [*callbacks, stop], epochs=5)
    told = [record.getMessage() for record in caplog.records if "backup" in record.getMessage()]
    assert len(told) == 2, told
    assert "could not be saved" in told[0] and "resume from epoch 1" in told[0]
    assert "saved again" in told[1]
    assert fit(build(), [BackupAndRestore("b")], epochs=5).epoch == [4]


def test_a_first_backup_that_cannot_be_saved_ends_the_training(fit, model):
    Path("b/next.weights.h5/full").mkdir(parents=True)
    with pytest.raises(OSError, match=r"next\.weights\.h5"):
        fit(model, [BackupAndRestore("b")])


def test_the_backup_goes_when_the_run_has_its_status(fit, model, record):
    """Inside a block at its end: until then a kill would need it."""
    with tracker.start_run():
        fit(model, [BackupAndRestore("b")])
        assert Path("b").is_dir()
    assert not Path("b").exists() and not list(Path().glob(".b.*"))


def test_the_backup_of_an_ended_training_is_not_restored(fit, build):
    """Two fits in one block: the second one trains, as with Keras."""
    with tracker.start_run():
        for _ in range(2):
            assert len(fit(build(), [BackupAndRestore("b")]).epoch) == 3


def test_an_epoch_is_backed_up_once_all_of_ours_have_judged_it(fit, build):
    """Cut short before that, it is trained again as a whole, wherever the callback stands."""

    def fail(epoch, logs):
        if epoch == 2 and not Path("failed").exists():
            Path("failed").touch()
            raise RuntimeError("killed")

    def attempt():
        listed = [BackupAndRestore("b"), LambdaCallback(on_epoch_end=fail), CSVLogger("log.csv")]
        return fit(build(), [TrackerCallback(name="r", resume="auto"), *listed], epochs=4).epoch

    with pytest.raises(RuntimeError, match="killed"):
        attempt()
    assert attempt() == [2, 3]
    assert [line.split(",")[0] for line in Path("log.csv").read_text().split()] == [
        "epoch", "0", "1", "2", "3",
    ]  # fmt: skip


@pytest.mark.parametrize("begins", ["after a break", "where fit is told", "as a second fit"])
def test_a_backup_within_the_first_epoch_is_one_of_that_epoch(begins, fit, build):
    """Keras goes by the last epoch that the instance has seen end, and would begin at another one."""
    model, backup = build(), BackupAndRestore("b", save_freq=1, delete_checkpoint=False)
    epoch = 2
    options = {"initial_epoch": 2} if begins == "where fit is told" else {}
    if begins == "after a break":
        interrupted(fit, model, BackupAndRestore("b"), at=2)
    elif begins == "as a second fit":
        fit(model, [backup], epochs=4)
        shutil.rmtree("b")
        epoch = 0

    def stop(batch, logs):
        if batch == 2:
            raise KeyboardInterrupt

    breaking = keras.callbacks.LambdaCallback(on_train_batch_begin=stop)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [backup, breaking], epochs=5, **options)
    assert json.loads(Path("b/training_metadata.json").read_text())["epoch"] == epoch


def test_a_run_whose_backup_is_gone_is_not_trained_anew(fit, build, record):
    """That would supersede all it has; its status stays, and a checkpoint goes on."""

    def attempt(patience, **options):
        stopping = EarlyStopping("accuracy", mode="min", patience=patience)
        listed = [TrackerCallback(name="r", resume=options.pop("resume", None)), stopping]
        return fit(build(), [*listed, BackupAndRestore("b")], epochs=6, **options).epoch

    first = attempt(2)
    before = record.run()
    with pytest.raises(tracker.RunError, match=r"Run r has \d epochs.*initial_epoch=\d"):
        attempt(3, resume="r")
    assert record.run() == before
    assert attempt(9, resume="r", initial_epoch=len(first))[0] == len(first)


def test_best_weights_survive_in_the_backup(fit, build, record):
    """EarlyStopping holds them in memory only; a resumed run restores them all the same."""
    scores = [0.1, 0.5, 0.6, 0.7]
    feed = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(score=scores[epoch])
    )

    def attempt(model, fails_at):
        def fail(epoch, logs):
            if epoch == fails_at:
                raise RuntimeError("killed")

        stopping = EarlyStopping("score", mode="min", patience=3, restore_best_weights=True)
        fit(model, [
            TrackerCallback(name="r", resume="auto"), feed, BackupAndRestore("b"),
            stopping, LambdaCallback(on_epoch_begin=fail),
        ], epochs=9)  # fmt: skip

    whole, first, second = build(), build(), build()
    with pytest.raises(RuntimeError):
        attempt(first, 3)
    attempt(second, None)
    fit(whole, epochs=1)
    assert all(map(np.array_equal, second.get_weights(), whole.get_weights()))
    assert record.decisions("EarlyStopping")[-1]["verdict"] == "restored"
