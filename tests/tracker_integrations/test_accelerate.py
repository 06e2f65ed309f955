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


# What Accelerate's `test_tracking.py` asks of its trackers, in our words


def test_a_configuration_is_kept_as_it_is() -> None:
    config = {"iterations": 12, "lr": 1e-2, "flag": False, "text": "some_value"}
    accelerator = Accelerator(log_with="tracker", cpu=True)
    accelerator.init_trackers("demo", config)
    accelerator.end_training()
    row = run_named()
    assert {name: row[f"params.{name}"] for name in config} == config


def test_a_tensor_is_the_number_that_it_holds() -> None:
    accelerator = Accelerator(log_with="tracker", cpu=True)
    accelerator.init_trackers("demo")
    accelerator.log({"tensor": torch.tensor(1)}, step=0)
    accelerator.end_training()
    assert points() == {"tensor": {0: 1.0}}


def test_steps_are_counted_where_none_is_given() -> None:
    accelerator = Accelerator(log_with="tracker", cpu=True)
    accelerator.init_trackers("demo")
    for step in ({}, {}, {"step": 3}):
        accelerator.log({"loss": 0.1, "iteration": 1}, **step)
    accelerator.end_training()
    assert list(points()["loss"]) == list(points()["iteration"]) == [0, 1, 3]


def test_several_trackers_are_told_the_same() -> None:
    other = RunTracker("other")
    accelerator = Accelerator(log_with=["tracker", other], cpu=True)
    accelerator.init_trackers("demo")
    assert [one.name for one in accelerator.trackers] == ["tracker", "tracker"]
    losses = train(accelerator)
    accelerator.end_training()
    accelerator.end_training()
    for name in ("demo-1", "other-1"):
        assert points(name)["loss"] == pytest.approx(dict(enumerate(losses)))
        assert run_named(name)["status"] == "finished"


def test_no_folder_is_asked_for_and_nothing_begins_before_it_is_initialised() -> None:
    Accelerator(log_with="tracker", cpu=True)
    assert not RunTracker.requires_logging_directory
    assert tracker.runs().empty
