"""Whatever is handed over is taken, or refused with a `BadValue`, by a run that records and by one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import BadValue, CheckpointError


class Raising:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__
    __float__ = __index__ = __fspath__ = __iter__ = __len__ = __bool__ = __repr__


class Itself:
    """An array of one element, which is itself; also as a list."""

    size = 1

    def item(self) -> Itself:
        return self

    tolist = item


class RaisingMapping(dict[str, Any]):
    """A mapping that cannot be read."""

    def items(self) -> Any:
        raise RuntimeError("no items")

    def keys(self) -> Any:
        raise RuntimeError("no keys")


def endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def bad_values() -> list[Any]:
    torch = pytest.importorskip("torch")
    sparse = torch.sparse_coo_tensor([[0]], [1.0], (1,))
    return [
        Raising(), Itself(), RaisingMapping(a=1), endless(), None, [1], "text", b"\xff", {1}, object,
        10**5000, {"a": 10**5000}, torch.empty((), device="meta"), torch.empty(3, device="meta"), sparse,
        {Raising(): 1}, {"a": Raising()}, "\0", "\ud800", float, 1j, {"n": {"n": endless()}},
    ]  # fmt: skip


CALLS = {
    "log": lambda run, bad: run.log(bad),
    "log value": lambda run, bad: run.log({"a": bad}),
    "log step": lambda run, bad: run.log({"a": 1.0}, step=bad),
    "log_epoch": lambda run, bad: run.log_epoch(0, bad),
    "log_epoch number": lambda run, bad: run.log_epoch(bad, {"a": 1.0}),
    "log_epoch value": lambda run, bad: run.log_epoch(0, {"a": bad}),
    "log_params": lambda run, bad: run.log_params(bad),
    "log_params value": lambda run, bad: run.log_params({"a": bad}),
    "set_tags": lambda run, bad: run.set_tags(bad),
    "set_tags value": lambda run, bad: run.set_tags({"a": bad}),
    "capture": lambda run, bad: run.capture(a=bad),
    "define_metric": lambda run, bad: run.define_metric(bad),
    "add_policy": lambda run, bad: run.add_policy("P", config={"a": bad}),
    "add_policy monitor": lambda run, bad: run.add_policy("P", monitor=bad),
    "log_checkpoint": lambda run, bad: run.log_checkpoint(bad),
    "log_checkpoint metrics": lambda run, bad: run.log_checkpoint("file", metrics=bad),
    "log_checkpoint value": lambda run, bad: run.log_checkpoint("file", monitor="a", value=bad),
    "log_checkpoint epoch": lambda run, bad: run.log_checkpoint("file", epoch=bad),
    "save_checkpoint": lambda run, bad: run.save_checkpoint(bad, lambda to: to.write_text("1")),
    "start_run": lambda run, bad: tracker.start_run(bad).finish(),
    "start_run name": lambda run, bad: tracker.start_run(name=bad).finish(),
    "start_run params": lambda run, bad: tracker.start_run(params={"a": bad}).finish(),
    "start_run tags": lambda run, bad: tracker.start_run(tags={"a": bad}).finish(),
    "start_run monitor": lambda run, bad: tracker.start_run(monitor=bad).finish(),
    "start_run database": lambda run, bad: tracker.start_run(database=bad).finish(),
    "start_run resume": lambda run, bad: tracker.start_run(resume=bad).finish(),
}


@pytest.fixture(params=["recording", "silent"])
def run(request: pytest.FixtureRequest, folder: Path) -> Iterator[Any]:
    Path("file").write_text("1")
    with tracker.start_run(recording=request.param == "recording") as made:
        yield made


@pytest.mark.parametrize("call", CALLS)
def test_no_value_raises_anything_but_an_error_of_ours(
    call: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, bad in enumerate(bad_values()):
        try:
            CALLS[call](run, bad)
        except (BadValue, CheckpointError, tracker.TrackerError):
            continue
        except BaseException as error:
            raise AssertionError(f"value {number}, a {type(bad).__name__}") from error
