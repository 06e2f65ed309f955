"""`tracker.load_checkpoint`: the hash first, then the weights, and what did not fit by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tracker_torch import ModelCheckpoint


def net(width: int = 1) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, width))


@pytest.fixture(params=[".pt", ".safetensors"])
def trained(feed: Any, request: Any) -> nn.Module:
    model = net()
    with tracker.start_run("digits", name="a"):
        save = ModelCheckpoint(f"{{epoch}}{request.param}", save_weights_only=True)
        feed([0.5, 0.2, 0.9], save, model=model)
    return model


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_best_the_last_and_an_epoch_are_loaded(trained: nn.Module) -> None:
    for which, epoch in (("best", 1), ("last", 2), (0, 0)):
        model = net()
        loaded = tracker.load_checkpoint("a", which, model=model)
        assert (loaded.epoch, loaded.run, loaded.model is model) == (epoch, "a", True)
        assert same(model, trained)
    model = net()
    found = tracker.best("digits")
    assert (found.run["name"], found.best.best) == ("a", 0.2)
    assert tracker.load_checkpoint(found, model=model).epoch == 1


def test_a_file_that_was_changed_is_not_loaded(trained: nn.Module) -> None:
    path = next(Path().glob("2.*"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    model, before = net(), net()
    before.load_state_dict(model.state_dict())
    with pytest.raises(tracker.CheckpointError, match="is modified: nothing was loaded"):
        tracker.load_checkpoint("a", model=model)
    assert same(model, before)
    path.unlink()
    with pytest.raises(tracker.CheckpointError, match="no checkpoint of epoch 7"):
        tracker.load_checkpoint("a", 7, model=model)


def test_a_copy_is_loaded_where_the_file_is_gone_or_changed(
    trained: nn.Module, cli: Any, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/far"
    assert cli("checkpoints", "upload", "a", url).exit_code == 0
    best = next(Path().glob("2.*"))
    assert tracker.load_checkpoint("a", model=net()).source == str(best.absolute())
    best.unlink()
    next(Path().glob("3.*")).write_bytes(b"something else")
    for which, epoch in (("best", 1), ("last", 2)):
        model = net()
        loaded = tracker.load_checkpoint("a", which, model=model)
        assert loaded.epoch == epoch and loaded.source.startswith(url)
        assert same(model, trained)
    for copy in Path("far").rglob("2.*"):
        copy.write_bytes(b"something else")
    with pytest.raises(tracker.CheckpointError, match="size or SHA-256 differ"):
        tracker.load_checkpoint("a", "best", model=net())


def test_what_does_not_fit_is_named_and_loaded_as_far_as_it_fits(trained: nn.Module) -> None:
    other = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 5), nn.Linear(5, 5))
    with pytest.raises(tracker.CheckpointError, match=r"2\.weight"):
        tracker.load_checkpoint("a", model=other)
    loaded = tracker.load_checkpoint("a", model=other, strict=False)
    assert (sorted(loaded.missing), loaded.unexpected) == (["2.bias", "2.weight"], ())
    assert sorted(loaded.mismatched) == ["1.bias", "1.weight"]
    assert same(other[0], trained[0])  # type: ignore[index]
    loaded = tracker.load_checkpoint("a", model=nn.Sequential(nn.Linear(2, 3)), strict=False)
    assert sorted(loaded.unexpected) == ["1.bias", "1.weight"]


def test_the_best_of_an_experiment_is_loaded_after_a_worse_run_took_its_name(feed: Any) -> None:
    nets = []
    for value in (0.1, 0.5):
        nets.append(net())
        with tracker.start_run("digits", name=f"r{value}"):
            feed([value], ModelCheckpoint("best.pt", save_best_only=True), model=nets[-1])
    model = net()
    loaded = tracker.load_checkpoint(tracker.best("digits"), model=model)
    assert loaded.run == "r0.1"
    assert same(model, nets[0]) and not same(model, nets[1])


def test_what_a_run_has_loaded_is_a_parent_of_what_it_saves(trained: nn.Module, cli: Any) -> None:
    with tracker.start_run("fine", name="b") as run:
        tracker.load_checkpoint("a", model=net())
        tracker.load_checkpoint("a", model=net())
        run.save_checkpoint("b.bin", lambda to: to.write_text("b"), epoch=0)
    said = cli("checkpoints", "show", "b").stdout
    assert said.count("fine-tuned from") == 1
    assert "parents.run" in said and "git" not in said.partition("parents")[2]


@pytest.mark.parametrize("which", ["worst", True, None, 1.5])
def test_another_word_than_best_last_and_an_epoch_is_refused(which: Any) -> None:
    with pytest.raises(tracker.BadValue, match="'best', 'last' or the number"):
        tracker.load_checkpoint("a", which)


def test_what_is_no_model_is_refused(trained: nn.Module) -> None:
    with pytest.raises(tracker.BadValue, match="model is a str"):
        tracker.load_checkpoint("a", model="net")
