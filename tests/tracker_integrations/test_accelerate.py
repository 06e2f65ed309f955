"""Accelerate: what an Accelerator logs is in the run."""

from __future__ import annotations

from typing import Any

import pytest

import tracker
from tests.helpers.integrations import epochs, points, run_named

accelerate = pytest.importorskip("accelerate")
import torch  # noqa: E402
from accelerate import Accelerator  # noqa: E402
from accelerate.state import AcceleratorState, GradientState, PartialState  # noqa: E402

from tracker_integrations.accelerate import RunTracker  # noqa: E402


@pytest.fixture(autouse=True)
def _new_state() -> None:
    """Forget the Accelerator of the test before: its state is the process's."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def train(accelerator: Any, steps: int = 4) -> list[float]:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model, optimizer = accelerator.prepare(model, optimizer)
    losses = []
    for step in range(steps):
        loss = model(torch.ones(8, 4)).square().mean()
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss))
        accelerator.log({"loss": loss, "lr": optimizer.param_groups[0]["lr"]}, step=step)
    return losses


def test_log_with_tracker() -> None:
    accelerator = Accelerator(log_with="tracker", cpu=True)
    accelerator.init_trackers("digits", config={"lr": 0.1, "net": {"width": 4}})
    losses = train(accelerator)
    accelerator.end_training()
    row = run_named()
    assert (row["name"], row["status"]) == ("digits-1", "finished")
    assert (row["params.lr"], row["params.net.width"]) == (0.1, 4)
    found = points()
    assert found["loss"] == pytest.approx(dict(enumerate(losses)))
    assert found["lr"] == dict.fromkeys(range(4), 0.1)


def test_an_instance_and_its_arguments() -> None:
    accelerator = Accelerator(log_with=RunTracker("digits", name="mine", tags=["a"]), cpu=True)
    accelerator.init_trackers("other")
    train(accelerator)
    accelerator.end_training()
    assert run_named("mine")["experiment"] == "digits"


def test_arguments_of_the_tracker_come_through() -> None:
    accelerator = Accelerator(log_with="tracker", cpu=True)
    accelerator.init_trackers("digits", init_kwargs={"tracker": {"name": "mine"}})
    assert accelerator.get_tracker("tracker", unwrap=True).name == "mine"
    accelerator.end_training()
    assert run_named("mine")["status"] == "finished"


def test_an_epoch_is_one() -> None:
    accelerator = Accelerator(log_with="tracker", cpu=True)
    accelerator.init_trackers("digits")
    for epoch in range(2):
        accelerator.log({"val_loss": 1.0 - epoch}, step=4, log_kwargs={"tracker": {"epoch": epoch}})
    accelerator.end_training()
    assert epochs()["val_loss"] == [1.0, 0.0]


def test_the_active_run_is_joined_and_stays_open() -> None:
    with tracker.start_run("digits", name="mine") as run:
        accelerator = Accelerator(log_with="tracker", cpu=True)
        accelerator.init_trackers("other")
        losses = train(accelerator)
        accelerator.end_training()
        assert not run.finished
    assert points("mine")["loss"] == pytest.approx(dict(enumerate(losses)))


def test_text_is_named_and_left_out() -> None:
    accelerator = Accelerator(log_with="tracker", cpu=True)
    accelerator.init_trackers("digits")
    with pytest.warns(UserWarning, match="note is not recorded"):
        accelerator.log({"loss": 1.0, "note": "text"}, step=0)
    accelerator.end_training()
    assert points() == {"loss": {0: 1.0}}
