"""What lies on a device is not waited for; what torch wraps around a model does not disturb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader

import tracker
from tests.helpers import ROOT
from tests.helpers.torch_problems import Problem, ask, problem, step
from tracker_torch import (
    BackupAndRestore,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    TerminateOnNaN,
    Training,
    load_checkpoint,
)


class Far(torch.Tensor):
    """A tensor that says it lies on a GPU, and counts how often somebody reads it."""

    reads = 0
    inner: torch.Tensor

    @staticmethod
    def __new__(cls: Any, inner: Any) -> Any:
        inner = torch.as_tensor(inner)
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, device="cuda"
        )
        made.inner = inner.detach().clone()
        return made

    @classmethod
    def __torch_dispatch__(
        cls: Any, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        home = str(kwargs.get("device", "")).startswith("cpu")
        if home or function is torch.ops.aten._local_scalar_dense.default:
            Far.reads += 1
        inner = lambda one: one.inner if isinstance(one, Far) else one  # noqa: E731
        found = function(*tree_map(inner, args), **tree_map(inner, kwargs))
        if home or not isinstance(found, torch.Tensor):
            return found
        return args[0] if function.__name__.split(".")[0].endswith("_") else Far(found)


@pytest.fixture(autouse=True)
def unread() -> None:
    Far.reads = 0


def test_a_device_is_read_once_an_epoch_however_many_batches_there_are() -> None:
    with Training(nn.Linear(1, 1), None, 2) as training:
        for epoch in training.epochs():
            for number in training.batches(range(50)):
                training.log(loss=Far(float(number)), acc=Far([[0.5]]), batch_size=2)
            assert Far.reads == epoch
            training.log_epoch(val_loss=2.0)
            assert Far.reads == epoch + 1
    assert training.history.history == {
        "loss": [24.5, 24.5],
        "acc": [0.5, 0.5],
        "val_loss": [2.0, 2.0],
    }


def test_half_precision_is_summed_in_double() -> None:
    with Training(nn.Linear(1, 1), None, 1) as training:
        for _ in training.epochs():
            for _ in range(3000):
                training.log(loss=Far(torch.tensor(100.0, dtype=torch.float16)))
    assert training.history.history["loss"] == [100.0]


def test_callbacks_that_hear_batches_read_only_what_they_look_at() -> None:
    ear = LambdaCallback(on_train_batch_end=lambda batch, logs: logs["acc"])
    with Training(nn.Linear(1, 1), None, 1, callbacks=[ear, EarlyStopping(patience=3)]) as training:
        for _ in training.epochs():
            for _ in training.batches(range(4)):
                training.log(loss=Far(1.0), acc=Far(1.0))
            assert Far.reads == 4
            training.log_epoch(val_loss=1.0)


def test_streaming_every_n_steps_does_not_wait_either(folder: Path) -> None:
    with Training(nn.Linear(1, 1), None, 1, log_every=5) as training:
        for _ in training.epochs():
            for number in training.batches(range(20)):
                training.log(loss=torch.tensor(float(number)))
    assert tracker.metrics(training.run.id)["value"].tolist() == [4.0, 9.0, 14.0, 19.0]


def test_a_value_that_the_loop_changes_later_is_taken_as_it_was() -> None:
    with Training(nn.Linear(1, 1), None, 1) as training:
        for _ in training.epochs():
            for make in (torch.tensor, Far):
                total = make(1.0)
                training.log({make.__name__: total})
                total += 100
    assert training.history.history == {"tensor": [1.0], "Far": [1.0]}


def test_many_elements_on_a_device_are_refused_without_reading_them() -> None:
    with (
        pytest.raises(tracker.BadValue, match="loss has 2 elements"),
        Training(nn.Linear(1, 1), None, 1) as training,
    ):
        for _ in training.epochs():
            training.log(loss=Far([1.0, 2.0]))
    assert Far.reads == 0


def test_a_graph_is_not_kept_alive(wine: Problem) -> None:
    import weakref

    with Training(wine.net(), None, 1, callbacks=[TerminateOnNaN()]) as training:
        for _ in training.epochs():
            for _ in training.batches([0]):
                loss = torch.ones((), requires_grad=True) * 2
                training.log(loss=loss)
                seen = weakref.ref(loss)
                del loss
            assert seen() is None


@pytest.mark.parametrize(
    "value", [torch.tensor([[3]]), torch.tensor(3.0, requires_grad=True).half(), 3, True * 3]
)
def test_one_element_of_any_shape_and_dtype_is_a_number(value: Any) -> None:
    with Training(nn.Linear(1, 1), None, 1) as training:
        for _ in training.epochs():
            training.log(a=value)
            training.log_epoch(b=value)
    assert training.history.history == {"b": [3.0], "a": [3.0]}


def test_a_compiled_model_is_saved_and_restored_under_its_own_names(wine: Problem) -> None:
    model = wine.net()
    compiled = torch.compile(model, backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    callbacks = [
        EarlyStopping(patience=9, restore_best_weights=True),
        ModelCheckpoint("a.pt"),
        BackupAndRestore("b"),
    ]
    with Training(compiled, optimizer, 2, callbacks=callbacks) as training:
        for _ in training.epochs():
            for x, y in training.batches(wine.loader()):
                training.log(loss=step(compiled, optimizer, x, y))
            training.log_epoch(val_loss=wine.val_loss(compiled))
    other = wine.net(1)
    load_checkpoint("a.pt", other)
    assert torch.equal(other[0].weight, model[0].weight)
    assert '"compiled":true' in ask("SELECT captured FROM attempt")[0][0]


def test_mixed_precision_with_a_scaler_is_saved_and_goes_on(wine: Problem) -> None:
    def amp(epochs: int, resume: str | None) -> Any:
        model = wine.net()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=3)
        backup = BackupAndRestore("b", delete_checkpoint=False)
        with Training(
            model,
            optimizer,
            epochs,
            scaler=scaler,
            callbacks=[backup],
            experiment="amp",
            resume=resume,
        ) as training:
            for _ in training.epochs():
                for x, y in training.batches(wine.loader()):
                    with torch.autocast("cpu", torch.bfloat16):
                        loss = nn.functional.cross_entropy(model(x), y)
                    optimizer.zero_grad()
                    scaler.scale(loss).backward()
                    scaler.step(optimizer)
                    scaler.update()
                    training.log(loss=loss)
        return scaler.get_scale(), [p.tolist() for p in model.parameters()]

    amp(2, None)
    in_two = amp(4, "amp-1")
    Path("b/latest.pt").unlink()
    assert in_two == amp(4, None)
    assert '"grad_scaler":true' in ask("SELECT captured FROM attempt")[0][0]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_loader_neither_disturb_nor_record(method: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    wine = problem("wine")
    loader = DataLoader(wine.train, 64, num_workers=2, multiprocessing_context=method)
    with Training(
        wine.net(), None, 2, callbacks=[EarlyStopping(patience=3)], log_every=1
    ) as training:
        for _ in training.epochs():
            for x, _ in training.batches(loader):
                training.log(mean=x.mean())
            training.log_epoch(val_loss=1.0)
    assert ask("SELECT status, epochs FROM run") == [("finished", 2)]
    assert len(tracker.metrics(training.run.id)) == training.step == 6
