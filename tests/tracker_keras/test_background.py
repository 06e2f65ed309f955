"""ModelCheckpoint(background=True): the same files and decisions, brought to the disk while training goes on."""

from __future__ import annotations

import copy
import threading
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import tracker
from tests.tracker_keras.test_kept_files import Scores
from tracker_keras import BackupAndRestore, ModelCheckpoint
from tracker_keras.session.memory_file import MemoryFile


def saver(name, **given):
    given = {"save_weights_only": name.endswith(".weights.h5"), "mode": "min", **given}
    return ModelCheckpoint(name, "score", 0, **given)


def contents(path: Path) -> object:
    """Return what a file holds, without the time that Keras notes in an archive."""
    if path.suffix != ".keras":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name != "metadata.json"]
        return {name: archive.read(name) for name in names}


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_a_file_is_the_same_byte_for_byte(suffix, fit, build):
    beside = saver("beside/{epoch}" + suffix, background=True)
    fit(build(optimizer="adam"), [Scores([3, 2, 1]), saver("plain/{epoch}" + suffix), beside])
    for epoch in (1, 2, 3):
        name = f"{epoch}{suffix}"
        assert contents(Path("plain", name)) == contents(Path("beside", name))


@pytest.mark.parametrize("given", [{"keep": 2}, {"save_best_only": True}, {"save_freq": 2}])
def test_decisions_and_rows_are_those_without(given, fit, build, record):
    for background in (False, True):
        name = "{epoch}-{batch}.weights.h5" if "save_freq" in given else "{epoch}.weights.h5"
        beside = saver(f"{background}/{name}", background=background, **given)
        fit(build(), [Scores([3, 2, 2.5, 1, 4]), beside], epochs=5)
    own = [
        [[one[name] for name in names] for one in rows if one["run_id"] == run["id"]]
        for names, rows in (
            (("epoch", "step", "verdict", "value", "best", "reason", "number"), record.decisions()),
            (("epoch", "step", "value", "state", "pending"), record.checkpoints()),
        )
        for run in record.runs()
    ]
    assert own[0] and own[0] == own[1]
    assert own[2] and own[2] == own[3]


class Held:
    """Files stay in memory until they are set free."""

    def __init__(self, monkeypatch):
        self.free, write = threading.Event(), MemoryFile.write_to

        def held(file, path):
            assert self.free.wait(60)
            write(file, path)

        monkeypatch.setattr(MemoryFile, "write_to", held)


class At(keras.callbacks.Callback):
    """Calls something as an epoch begins."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.get(epoch, lambda: None)()


def test_the_file_is_of_the_moment_it_was_taken_and_so_is_its_row(
    fit, build, monkeypatch, record, data
):
    held, then = Held(monkeypatch), []
    model = build()
    steps = len(data.x) // 32
    beside = saver("a.weights.h5", save_freq=2 * steps, background=True)
    look = At(
        {
            2: lambda: then.extend(model.get_weights()),
            3: lambda: (then.append(Path("a.weights.h5").exists()), held.free.set()),
        }
    )
    fit(model, [beside, look], epochs=3 + 1, batch_size=32)
    *weights, existed = then
    assert existed is False
    first, _second = record.checkpoints()
    assert (first["epoch"], first["step"]) == (1, 2 * steps)
    assert not np.array_equal(weights[0], model.get_weights()[0])


def test_the_weights_in_the_file_are_those_that_were_judged(fit, build, monkeypatch):
    held, then = Held(monkeypatch), []
    model = build()
    beside = saver("a.weights.h5", save_best_only=True, background=True)
    free = At({1: lambda: (then.extend(model.get_weights()), held.free.set())})
    fit(model, [Scores([1, 2, 3]), beside, free])
    trained = model.get_weights()
    model.load_weights("a.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(then, model.get_weights(), strict=True))
    assert not np.array_equal(then[0], trained[0])


def broken(monkeypatch, at):
    """Let the file of an epoch fail."""
    write, written = MemoryFile.write_to, []

    def write_to(file, path):
        written.append(path)
        if len(written) == at + 1:
            raise OSError(28, "No space left on device")
        write(file, path)

    monkeypatch.setattr(MemoryFile, "write_to", write_to)


@pytest.mark.parametrize(("at", "judged"), [(0, 0), (2, 2)])
def test_an_error_comes_out_at_the_next_epoch_or_at_the_end(
    at, judged, fit, build, monkeypatch, record
):
    broken(monkeypatch, at)
    with pytest.raises(OSError, match="No space left"):
        fit(build(), [Scores([3, 2, 1]), saver("{epoch}.weights.h5", background=True)], epochs=3)
    assert len(record.decisions()) == judged
    assert record.runs()[0]["status"] == "failed"


def test_a_fit_that_raises_has_its_file(fit, build, monkeypatch, record):
    held = Held(monkeypatch)

    def fail():
        threading.Timer(0.05, held.free.set).start()
        raise ZeroDivisionError

    beside = saver("a.weights.h5", background=True)
    with pytest.raises(ZeroDivisionError):
        fit(build(), [Scores([3, 2, 1]), beside, At({1: fail})])
    assert [one["state"] for one in record.checkpoints()] == ["available"]
    assert [one["verdict"] for one in record.decisions()] == ["saved"]


def test_a_backup_waits_for_the_file_before_it(fit, build, monkeypatch, record):
    """A kill after the backup continues with the next epoch: this one has been judged."""
    decided = []
    look = At({epoch: lambda: decided.append(len(record.decisions())) for epoch in (1, 2)})
    beside = saver("{epoch}.weights.h5", background=True)
    fit(build(), [Scores([3, 2, 1]), beside, BackupAndRestore("backup"), look])
    assert decided == [1, 2]


def test_what_has_a_save_of_its_own_is_refused_before_it_trains(fit, data):
    class Own(keras.Sequential):
        def save_weights(self, *given, **named):
            super().save_weights(*given, **named)

    model = Own([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(tracker.UsageError, match="Own has a method save_weights of its own"):
        fit(model, [saver("a.weights.h5", background=True)])
    assert list(Path().glob("*.h5")) == []


def test_a_remote_folder_is_refused():
    with pytest.raises(tracker.BadValue, match="only a file on a disk of this machine"):
        saver("memory://a/{epoch}.keras", background=True)
    with pytest.raises(tracker.BadValue, match="background is 1: it must be True or False"):
        saver("a.keras", background=1)


def test_a_second_fit_and_a_copy_go_on(fit, build, record):
    beside = saver("{epoch}.weights.h5", background=True)
    with tracker.start_run():
        fit(build(), [Scores([3, 2]), beside], epochs=2)
        fit(build(), [Scores([3, 2, 1]), copy.deepcopy(beside)], epochs=3, initial_epoch=2)
    assert [one["epoch"] for one in record.checkpoints()] == [0, 1, 2]


def test_a_file_goes_to_the_folder_for_temporary_files_where_memory_has_no_room(monkeypatch):
    """And it has no name any more once it is written."""
    seen = []

    def save(path):
        seen.append(path)
        path.write_text("x")

    file = MemoryFile("a.keras", 1 << 60, save)
    file.write_to(Path("copied"))
    file.close()
    assert Path("copied").read_text() == "x" and seen[0].name == "a.keras"
    assert not seen[0].parent.exists() and not seen[0].is_relative_to("/dev/shm")
