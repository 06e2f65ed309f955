"""Names with metrics that some epochs lack, formats that no value takes, and models that safetensors does not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import ask, decisions
from tracker_torch import ModelCheckpoint

SOMETIMES = [{"loss": 1.0, "val_loss": 0.5}, {"loss": 1.0}, {"val_loss": 0.25}, {"loss": 2.0}]


@pytest.mark.parametrize("options", [{"monitor": None}, {"keep": 2}, {"save_last": True}, {}])
def test_an_epoch_without_the_metric_of_the_name_is_skipped_with_one_warning(
    feed: Any, options: dict[str, Any]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        feed(SOMETIMES, ModelCheckpoint("ck/{epoch}-{val_loss:.2f}.pt", **options))
    names = {path.name for path in Path("ck").iterdir()} - {"last.pt"}
    assert names == {"1-0.50.pt", "3-0.25.pt"}
    assert [v for _, v in decisions("ModelCheckpoint")] == ["saved", "skipped", "saved", "skipped"]
    assert len([w for w in caught if "asks for 'val_loss'" in str(w.message)]) == 1
    assert ask("SELECT status FROM run") == [("finished",)]


@pytest.mark.parametrize("options", [{"monitor": None}, {"keep": 2}, {"save_last": True}, {}])
def test_a_first_epoch_without_the_metric_is_skipped_with_a_warning_that_names_those_there_are(
    feed: Any, options: dict[str, Any]
) -> None:
    with pytest.warns(UserWarning, match="asks for 'val_loss'.* there are epoch, step, run, loss"):
        feed(SOMETIMES[1:], ModelCheckpoint("ck/{epoch}-{val_loss:.2f}.pt", **options))
    assert {path.name for path in Path("ck").iterdir()} - {"last.pt"} == {"2-0.25.pt"}
    assert [v for _, v in decisions("ModelCheckpoint")] == ["skipped", "saved", "skipped"]
    assert ask("SELECT status FROM run") == [("finished",)]


@pytest.mark.parametrize(
    "name",
    [
        "{epoch}-{val_loss:02d}.pt", "{epoch:zz}.pt", "{epoch.x}.pt", "{step:.2q}.pt", "{run:d}.pt",
        "{val_loss:x}.pt", "{epoch!z}.pt",
    ],
)  # fmt: skip
def test_a_format_that_no_value_takes_is_refused_at_once(name: str) -> None:
    with pytest.raises(tracker.BadValue, match="filepath is"):
        ModelCheckpoint(name)


@pytest.mark.parametrize(
    "name",
    [
        "{epoch:03d}-{val_loss:.2f}.pt",
        "{run}-{step:>6}.pt",
        "{val/loss:.3e}-{acc.top5}.pt",
        "{epoch!s:>3}.pt",
    ],
)
def test_others_are_taken(name: str) -> None:
    assert ModelCheckpoint(name).filepath == name


class Extra(nn.Linear):
    def get_extra_state(self) -> Any:
        return {"v": 1}

    def set_extra_state(self, state: Any) -> None:
        """Take it."""


def with_buffers(*buffers: torch.Tensor) -> nn.Module:
    model = nn.Linear(2, 1)
    for number, buffer in enumerate(buffers):
        model.register_buffer(f"b{number}", buffer)
    return model


def models() -> dict[str, nn.Module]:
    storage = torch.arange(6.0)
    return {
        "extra": Extra(2, 1),
        "sparse": with_buffers(torch.eye(3).to_sparse()),
        "complex": with_buffers(torch.zeros(2, dtype=torch.complex128)),
        "views": with_buffers(storage[:4], storage[2:]),
    }


@pytest.mark.parametrize("kind", ["extra", "sparse", "complex", "views"])
def test_a_model_that_safetensors_does_not_take_is_skipped_with_a_warning(
    feed: Any, kind: str
) -> None:
    with pytest.warns(UserWarning, match="does not take all of this model's state"):
        feed([1.0, 2.0], ModelCheckpoint("m.safetensors", monitor=None), model=models()[kind])
    assert [v for _, v in decisions("ModelCheckpoint")] == ["skipped", "skipped"]
    assert ask("SELECT status FROM run") == [("finished",)] and not list(Path().glob("*m.safe*"))


@pytest.mark.parametrize("kind", ["extra", "sparse", "complex", "views"])
def test_a_pt_file_takes_them(feed: Any, kind: str) -> None:
    feed([1.0], ModelCheckpoint("m.pt", monitor=None), model=models()[kind])
    assert Path("m.pt").is_file()
