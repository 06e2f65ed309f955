"""`tracker.load_checkpoint` for files of Keras: the hash first, then safe mode, and what did not fit by name."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import tracker
from tracker_keras import load_checkpoint


def net(width: int = 1, more: bool = False) -> keras.Model:
    layers = [keras.layers.Dense(3, name="first"), keras.layers.Dense(width, name="second")]
    if more:
        layers.append(keras.layers.Dense(2, name="third"))
    return keras.Sequential([keras.Input((2,)), *layers])


def same(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.fixture(params=["best.keras", "best.weights.h5"])
def trained(request: pytest.FixtureRequest) -> keras.Model:
    model = net()
    save = model.save if request.param.endswith(".keras") else model.save_weights
    with tracker.start_run("digits", name="a") as run:
        run.save_checkpoint(
            request.param, lambda to: save(str(to)), epoch=3, monitor="loss", value=1
        )
    return model


def test_the_best_is_loaded_into_a_model(trained: keras.Model) -> None:
    model = net()
    loaded = tracker.load_checkpoint("a", "best", model=model)
    assert (loaded.epoch, loaded.missing, loaded.unexpected) == (3, (), ())
    assert same(model, trained)


def test_a_whole_model_is_loaded_where_none_is_handed_over() -> None:
    model = net()
    with tracker.start_run("digits", name="a") as run:
        run.save_checkpoint("m.keras", lambda to: model.save(str(to)))
    assert same(tracker.load_checkpoint("a", "last").model, model)


def test_what_is_missing_unexpected_or_of_another_shape_is_named(trained: keras.Model) -> None:
    larger = net(5, more=True)
    before = larger.get_weights()
    with pytest.raises(
        tracker.CheckpointError, match=r"missing in the file: .*third|of another shape: "
    ):
        tracker.load_checkpoint("a", model=larger)
    assert all(np.array_equal(a, b) for a, b in zip(before, larger.get_weights(), strict=True))
    loaded = tracker.load_checkpoint("a", model=larger, strict=False)
    assert len(loaded.missing) == 2 and len(loaded.mismatched) == 2
    assert np.array_equal(larger.layers[0].get_weights()[0], trained.layers[0].get_weights()[0])
    smaller = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="first")])
    with pytest.raises(tracker.CheckpointError, match="unexpected: "):
        tracker.load_checkpoint("a", model=smaller)


def test_code_in_a_file_is_not_run_and_a_changed_file_not_loaded(trained: keras.Model) -> None:
    unsafe = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])
    unsafe.save("unsafe.keras")
    with pytest.raises(tracker.CheckpointError, match="cannot be loaded"):
        load_checkpoint("unsafe.keras")
    path = next(Path().glob("best.*"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(tracker.CheckpointError, match="is modified: nothing was loaded"):
        tracker.load_checkpoint("a", model=net())
