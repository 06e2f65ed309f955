"""A terminal that goes away, or takes less than we write, ends no training."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from torch import nn

import tracker
from tracker_torch import EarlyStopping, Training


class HungUp(io.StringIO):
    """A terminal whose other end is gone."""

    def isatty(self) -> bool:
        """It still says so."""
        return True

    def write(self, text: str) -> int:
        """As the system calls do."""
        raise OSError(5, "Input/output error")

    flush = close = lambda self: None


def closed() -> io.StringIO:
    """A stream that the program has closed."""
    stream = io.StringIO()
    stream.close()
    return stream


def ascii_only() -> io.TextIOWrapper:
    """A stream that takes neither a bar nor every name."""
    return io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)


def trained(**options: Any) -> None:
    """Train with everything that prints."""
    stopper = EarlyStopping("größe", mode="min", patience=0, verbose=1)
    with Training(
        nn.Linear(1, 1), None, 3, name="shown", callbacks=[stopper], **options
    ) as training:
        for epoch in training.epochs():
            for _ in training.batches(range(2)):
                training.log(größe=float(epoch))
            training.log_epoch()


@pytest.mark.parametrize("progress", [None, True, False])
@pytest.mark.parametrize("stream", [HungUp, closed, ascii_only, lambda: None])
def test_a_stream_that_cannot_be_written_ends_no_training(
    stream: Any, progress: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream())
        patched.setattr(sys, "stderr", stream())
        trained(progress=progress)
    run = tracker.runs().iloc[0]
    assert (run["status"], run["epochs"]) == ("stopped_early", 2)


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = ascii_only()
    monkeypatch.setattr(sys, "stderr", stream)
    trained(progress=True)
    assert rb"gr\xf6\xdfe 1" in stream.buffer.getvalue()  # type: ignore[attr-defined]
