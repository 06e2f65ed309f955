"""TrackerLogger behaves as Lightning's loggers do; the list follows what Lightning asks of its own, in our words."""

from __future__ import annotations

import inspect
import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="make test-neighbours")

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

import tracker
from tests.helpers.lightning_models import Linear, Scripted, data, quiet
from tracker_integrations.lightning import TrackerLogger

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def test_it_is_a_logger_with_every_method_of_one() -> None:
    assert issubclass(TrackerLogger, Logger)
    assert not inspect.isabstract(TrackerLogger)


def test_nothing_begins_before_something_is_asked_or_logged() -> None:
    logger = TrackerLogger("demo")
    assert repr(logger.experiment) == "<Run, not begun yet>"
    assert not Path(".tracker").exists()
    assert logger.experiment.experiment == "demo"
    assert logger.experiment.id == logger.run.id


def test_name_is_the_experiment_and_version_the_run() -> None:
    logger = TrackerLogger("demo", save_dir="here")
    assert logger.name == "demo"
    assert logger.version == tracker.runs()["id"].item()
    assert (logger.save_dir, logger.log_dir, logger.root_dir if hasattr(logger, "root_dir") else None) == (
        "here", "here", None,
    )  # fmt: skip


def test_a_logger_by_itself_logs_and_ends_as_it_is_told() -> None:
    logger = TrackerLogger("demo")
    logger.log_metrics({"acc": torch.tensor(0.5)}, step=3)
    logger.log_metrics({"acc": 0.75})
    logger.save()
    logger.finalize("success")
    points = tracker.metrics("demo-1")
    assert points["step"].tolist() == [3, 4]
    assert points["value"].tolist() == [0.5, 0.75]
    assert tracker.runs()["status"].item() == "finished"
    failed = TrackerLogger("demo")
    failed.log_metrics({"acc": 0.5}, step=0)
    failed.finalize("failed")
    assert tracker.runs()["status"].tolist()[0] == "failed"


@pytest.mark.parametrize("kind", [dict, Namespace], ids=["mapping", "namespace"])
def test_hyperparameters_of_any_kind_are_kept(kind: Any) -> None:
    given = {
        "lr": 0.1, "layers": [3, 4], "net": {"act": torch.relu, "deep": True}, "none": None,
        "device": torch.device("cpu"),
    }  # fmt: skip
    logger = TrackerLogger("demo")
    logger.log_hyperparams(kind(**given) if kind is Namespace else given)
    logger.finalize("success")
    row = tracker.runs().iloc[0]
    assert (row["params.lr"], row["params.net.deep"]) == (0.1, True)
    assert row["params.device"] == "cpu"


def test_it_can_be_pickled_alone_and_within_a_trainer() -> None:
    logger = TrackerLogger("demo")
    logger.log_metrics({"a": 1.0}, step=0)
    trainer = quiet(max_epochs=1, logger=logger, enable_checkpointing=False)
    copied = pickle.loads(pickle.dumps(trainer))
    copied.logger.log_metrics({"acc": 1.0}, step=0)
    assert copied.logger.name == logger.name
    assert copied.logger.save_dir == logger.save_dir
    assert len(tracker.runs()) == 2


def test_checkpoints_go_below_save_dir_by_experiment_and_run() -> None:
    logger = TrackerLogger("demo", save_dir="out")
    saver = ModelCheckpoint()
    quiet(max_epochs=1, logger=logger, callbacks=[saver]).fit(Scripted([1.0]), data())
    folder = Path(saver.best_model_path).parent
    assert folder == Path("out").absolute() / "demo" / logger.version / "checkpoints" or (
        folder == Path("out") / "demo" / logger.version / "checkpoints"
    )
    assert tracker.checkpoints("demo-1")["state"].tolist() == ["available"]


def test_steps_are_logged_as_often_as_the_trainer_says() -> None:
    for every, steps in ((1, [0, 1, 2, 3, 4, 5]), (3, [2, 5])):
        quiet(
            max_epochs=1, logger=TrackerLogger("demo", name=f"every-{every}"),
            log_every_n_steps=every, enable_checkpointing=False,
        ).fit(Linear(), data())  # fmt: skip
        points = tracker.metrics(f"every-{every}", names=["norm"])
        assert points["step"].tolist() == steps


def test_accumulated_batches_are_one_step() -> None:
    quiet(
        max_epochs=1, logger=TrackerLogger("demo"), log_every_n_steps=1, accumulate_grad_batches=2,
        enable_checkpointing=False,
    ).fit(Linear(), data())  # fmt: skip
    assert tracker.metrics("demo-1", names=["norm"])["step"].tolist() == [0, 1, 2]
    quiet(
        max_epochs=1, log_every_n_steps=1, accumulate_grad_batches=2, enable_checkpointing=False
    ).fit(Linear(), data())
    assert tracker.metrics("Linear-1", names=["norm"])["step"].tolist() == [0, 1, 2]


def test_two_loggers_of_ours_are_two_runs_of_which_the_first_is_watched() -> None:
    loggers = [TrackerLogger("a"), TrackerLogger("b")]
    trainer = quiet(max_epochs=1, logger=loggers, log_every_n_steps=1, enable_checkpointing=False)
    trainer.fit(Linear(), data())
    assert len(tracker.epochs("a-1")) == 1
    assert len(tracker.metrics("b-1", names=["norm"])) == 6
    assert set(tracker.runs()["status"]) == {"finished"}


def test_the_other_package_is_recorded_the_same() -> None:
    lightning = pytest.importorskip("pytorch_lightning")
    from tracker_integrations.pytorch_lightning import TrackerLogger as Other

    class Net(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
            self.log("loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    stopper = lightning.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=4, logger=Other("demo"), callbacks=[stopper],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(Net(), data())
    row = tracker.runs().iloc[0]
    assert row["status"] == "stopped_early"
    assert len(tracker.epochs("demo-1")) == 2
    assert tracker.decisions("demo-1")["verdict"].tolist() == ["improved", "stopped"]


def test_of_several_processes_the_first_records(script: Any) -> None:
    process = script(
        "import torch, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from tests.helpers.lightning_models import Linear, data, quiet\n"
        "from tracker_integrations.lightning import TrackerCallback, TrackerLogger\n"
        "torch.set_num_threads(1)\n"
        "quiet(max_epochs=2, logger=TrackerLogger('demo'), strategy='ddp_fork', devices=2,\n"
        "      callbacks=[TrackerCallback()], enable_checkpointing=False,\n"
        "      ).fit(Linear(), data(), data(seed=1))\n",
        env={"OMP_NUM_THREADS": "1"},
    )
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error[-2000:]
    assert len(tracker.runs()) == 1
    assert tracker.epochs("demo-1")["epoch"].tolist() == [0, 1]
    assert tracker.runs()["status"].item() == "finished"
