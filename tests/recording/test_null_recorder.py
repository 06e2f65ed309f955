"""What a recording run refuses a silent one refuses as well: a script that works on one rank works on all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracker
from tracker.errors import BadValue

REFUSED: dict[str, Callable[[tracker.Run], object]] = {
    "text as a step metric": lambda run: run.log({"loss": "0.3"}),
    "no step metric": lambda run: run.log({"loss": None}),
    "two elements": lambda run: run.log({"loss": np.array([1.0, 2.0])}),
    "step metrics without names": lambda run: run.log([("loss", 1.0)]),  # type: ignore[arg-type]
    "a step that is text": lambda run: run.log({"loss": 1.0}, step="one"),  # type: ignore[arg-type]
    "a step beyond 64 bits": lambda run: run.log({"loss": 1.0}, step=2**70),
    "text in an epoch": lambda run: run.log_epoch(0, {"loss": "0.3"}),
    "an epoch below 0": lambda run: run.log_epoch(-1, {}),
    "an endless duration": lambda run: run.log_epoch(0, {}, seconds=float("inf")),
    "params without names": lambda run: run.log_params([1]),  # type: ignore[arg-type]
    "tags without names": lambda run: run.set_tags(3),  # type: ignore[arg-type]
    "a verdict that does not exist": lambda run: decide(run, "meh"),
    "a cause that does not exist": lambda run: decide(run, "saved", cause="meh"),
    "a value that is text": lambda run: decide(run, "saved", value="x"),
    "an epoch that is text": lambda run: decide(run, "saved", epoch="x"),
    "a checkpoint's value that is text": lambda run: save(run, monitor="loss", value="x"),
    "a checkpoint's epoch that is text": lambda run: save(run, epoch="x"),
    "an ending that does not exist": lambda run: run.finish("over"),
}


def decide(run: tracker.Run, verdict: str, *, epoch: Any = 0, **facts: Any) -> None:
    run.add_policy("ModelCheckpoint").decide(verdict, epoch=epoch, reason="r", **facts)


def save(run: tracker.Run, **facts: Any) -> None:
    run.save_checkpoint("file", lambda path: path.write_text(""), **facts)


@pytest.mark.parametrize("what", REFUSED)
def test_a_silent_run_refuses_what_a_recording_one_refuses(what: str) -> None:
    messages = []
    for recording in (True, False):
        with tracker.start_run(recording=recording) as run, pytest.raises(BadValue) as refused:
            REFUSED[what](run)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]


def test_a_silent_run_takes_every_number_that_a_recording_one_takes() -> None:
    torch = pytest.importorskip("torch")
    numbers = (1, True, np.float32(0.5), torch.tensor(0.5), torch.empty((), device="meta"))
    for recording in (True, False):
        with tracker.start_run(recording=recording) as run:
            for number in numbers:
                run.log({"loss": number}, step=np.int64(3))  # type: ignore[arg-type]


def test_a_silent_run_copies_nothing_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor on a device is only looked at: no copy is queued, and nothing waits."""
    torch = pytest.importorskip("torch")
    copies: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "clone", lambda tensor: copies.append(tensor) or tensor)
    with tracker.start_run(recording=False) as silent:
        silent.log({"loss": torch.empty((), device="meta")})
    assert copies == []
    with tracker.start_run() as run:
        run.log({"loss": torch.empty((), device="meta")})
    assert len(copies) == 1


def test_what_is_asked_of_a_silent_run_is_empty() -> None:
    with tracker.start_run(recording=False) as run:
        run.log_epoch(0, {"loss": 1.0})
        assert (run.history(), run.recorded_epoch(0), run.epochs_done()) == ({}, None, [])
        assert run.add_policy("EarlyStopping").saved_state is None
