"""A CallbackList whose loop was left without on_train_end does not block, or swallow, the next training."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

import tracker
from tests.helpers.torch_problems import ask
from tracker_torch import Callback, CallbackList, EarlyStopping, History, Training


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """What is dropped is known to be at once, and not when the collector comes by."""
    gc.disable()
    yield
    gc.enable()


def hooks(size: int, *callbacks: Callback, fail: bool = False) -> CallbackList:
    loop = CallbackList(
        callbacks,
        nn.Linear(1, 1),
        start=lambda **options: tracker.start_run("oom", params={"bs": size}, **options),
    )
    loop.on_train_begin()
    for epoch in range(2):
        if fail:
            raise RuntimeError("CUDA out of memory")
        loop.on_epoch_end(epoch, {"loss": 1.0})
    loop.on_train_end()
    return loop


def rows() -> list[Any]:
    return ask(
        "SELECT status, epochs, number, parent_id FROM run JOIN param ON run_id = id ORDER BY number DESC"
    )


def test_by_an_error() -> None:
    for size in (64, 32):
        try:
            hooks(size, EarlyStopping("loss", patience=9), History(), fail=size == 64)
        except RuntimeError as error:
            assert "memory" in str(error)
    assert rows() == [("interrupted", 0, 64, None), ("finished", 2, 32, None)]


def test_with_a_callback_that_is_used_again() -> None:
    stopper, own = EarlyStopping("loss", patience=9), Callback()
    for size in (64, 32):
        with contextlib.suppress(RuntimeError):
            hooks(size, stopper, own, fail=size == 64)
    assert rows() == [("interrupted", 0, 64, None), ("finished", 2, 32, None)]
    assert stopper.run.name == "oom-2"


CELL = """
loop = CallbackList([EarlyStopping("loss", patience=9)], nn.Linear(1, 1))
loop.on_train_begin()
for epoch in range(3):
    loop.on_epoch_end(epoch, {"loss": 1.0})
    if epoch == stop:
        break
else:
    loop.on_train_end()
"""


def test_a_cell_that_is_run_again() -> None:
    names = {**globals(), "stop": 0}
    exec(CELL, names)
    names["stop"] = 9
    exec(CELL, names)
    assert ask("SELECT status, epochs, parent_id FROM run ORDER BY started") == [
        ("interrupted", 1, None), ("finished", 3, None),
    ]  # fmt: skip


def test_a_training_that_follows_and_an_enclosing_run_that_goes_on() -> None:
    with tracker.start_run(name="r") as run:
        loop = CallbackList(EarlyStopping("loss", patience=9), nn.Linear(1, 1))
        loop.on_train_begin()
        loop.on_epoch_end(0, {"loss": 1.0})
        del loop
        with Training(nn.Linear(1, 1), None, 2) as training:
            assert training.run is run
            list(training.epochs())
    assert ask("SELECT name, status FROM run") == [("r", "finished")]
