"""Trainings in executors, tasks and within each other: each has a run of its own, with its own numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import ask
from tracker_torch import CallbackList, EarlyStopping, Training


def epochs_of(k: int, *, fail: bool = False) -> Iterator[int]:
    """Train ``k`` with a loss of its own; yield after each epoch."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Training(
        model, optimizer, 3, experiment="opt", params={"k": k}, progress=False,
        callbacks=[EarlyStopping("loss", mode="min", patience=9)],
    ) as training:  # fmt: skip
        for epoch in training.epochs():
            if fail and epoch == 1:
                raise RuntimeError("CUDA out of memory")
            training.log_epoch(loss=k + epoch / 10)
            yield epoch


def recorded() -> dict[str, list[float]]:
    """Return, by the param k, the losses of the run."""
    found: dict[str, list[float]] = {}
    for k, loss in ask(
        "SELECT p.text, m.value FROM run r JOIN param p ON p.run_id = r.id JOIN epoch e "
        "ON e.run_id = r.id JOIN metric m ON m.epoch_id = e.id AND m.name = 'loss' ORDER BY r.id, e.epoch"
    ):
        found.setdefault(k, []).append(loss)
    return found


def whole(k: int, epochs: int = 3) -> list[float]:
    return [k + epoch / 10 for epoch in range(epochs)]


@pytest.mark.parametrize("around", [False, True])
def test_an_executor_whose_threads_are_used_again_after_a_failure(around: bool) -> None:
    def objective(k: int) -> None:
        with suppress(RuntimeError):
            list(epochs_of(k, fail=k % 3 == 0))

    study = tracker.start_run("study") if around else None
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(objective, range(6)))
    if study is not None:
        study.finish()
    assert recorded() == {str(k): whole(k, 1 if k % 3 == 0 else 3) for k in range(6)}
    assert ask("SELECT count(*) FROM run WHERE status = 'failed'") == [(2,)]


def test_threads_that_take_the_context_along() -> None:
    """`asyncio.to_thread` does: the first training joins the run around it, the others are its children."""

    async def main() -> None:
        trials = (asyncio.to_thread(lambda k=k: list(epochs_of(k))) for k in range(3))
        await asyncio.gather(*trials)

    with tracker.start_run("study", name="study"):
        asyncio.run(main())
    losses = sorted(value for (value,) in ask("SELECT value FROM metric WHERE name = 'loss'"))
    assert losses == sorted(whole(0) + whole(1) + whole(2))
    assert ask("SELECT count(*), sum(epochs) FROM run") == [(3, 9)]
    assert ask("SELECT count(*) FROM epoch WHERE superseded") == [(0,)]


def test_tasks_that_take_turns_within_an_epoch() -> None:
    async def trial(k: int) -> None:
        for _ in epochs_of(k):
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(trial(k) for k in range(3)))

    asyncio.run(main())
    assert recorded() == {str(k): whole(k) for k in range(3)}


def test_generators_that_take_turns_in_one_thread() -> None:
    """They share a context: each training that begins is a child of the one that is under way."""
    trials = [epochs_of(k) for k in range(3)]
    for turn in zip(*trials, strict=True):
        assert len(set(turn)) == 1
    assert recorded() == {str(k): whole(k) for k in range(3)}
    assert ask("SELECT DISTINCT status FROM run") == [("finished",)]


@pytest.mark.parametrize("block", [False, True])
def test_a_training_in_each_epoch_of_another(block: bool) -> None:
    outer_run = tracker.start_run("block", params={"k": "block"}) if block else None
    outer = epochs_of(9)
    for epoch in outer:
        list(epochs_of(epoch))
    if outer_run is not None:
        outer_run.finish()
    assert recorded() == {str(k): whole(k) for k in (0, 1, 2, 9)}
    (parent,) = ask("SELECT r.id FROM run r JOIN param p ON p.run_id = r.id WHERE p.text = '9'")
    assert ask("SELECT DISTINCT parent_id FROM run WHERE id != ?", parent[0]) == [parent]


@pytest.mark.parametrize("mistake", ["resume", "run", "callback", "model"])
def test_a_training_that_is_refused_has_written_nothing(mistake: str) -> None:
    stopper = EarlyStopping("loss", mode="min")
    with tracker.start_run("e", name="r", params={"lr": 0.1}) as run:
        held = CallbackList([stopper], nn.Linear(1, 1))
        held.on_train_begin()
        given: Any = {
            "resume": {"resume": "another", "run": run},
            "run": {"run": run},
            "callback": {"callbacks": [stopper]},
            "model": {"callbacks": [EarlyStopping("loss", mode="min", restore_best_weights=True)]},
        }[mistake]
        model = None if mistake == "model" else nn.Linear(1, 1)
        with (
            pytest.raises(tracker.UsageError),
            Training(model, None, 1, params={"lr": 0.2}, tags={"who": "second"}, **given),
        ):
            """Never entered."""
        held.on_epoch_end(0, {"loss": 1.0})
        held.on_train_end()
    assert ask("SELECT text FROM param") == [("0.1",)] and ask("SELECT * FROM tag") == []
    assert ask("SELECT name, epochs FROM run") == [("r", 1)]
