"""What Lightning's ``loggers/test_all.py`` and ``test_logger.py`` ask of its loggers, asked of ours in our words.

Its releases do not ship these files, so that they cannot be fetched and run as they are.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning", reason="make test-neighbours")

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
from lightning.pytorch.tuner.tuning import Tuner

import tracker
from tests.helpers.integrations import epochs, points, run_named
from tests.helpers.lightning_models import data, quiet
from tracker_integrations.lightning import TrackerLogger

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


class Remembering(TrackerLogger):
    """Remembers what Lightning has told it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.told: list[tuple[int | None, list[str]]] = []
        self.ended: list[str] = []
        self.saved = 0

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        super().log_metrics(metrics, step)
        self.told.append((step, sorted(metrics)))

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        super().after_save_checkpoint(checkpoint_callback)
        self.saved += 1

    def finalize(self, status: str) -> None:
        super().finalize(status)
        self.ended.append(status)


class Trained(BoringModel):  # type: ignore[misc]
    """Logs a loss of training, two metrics of validation and one of the test."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.step(batch)
        self.log("train_loss", loss)
        return {"loss": loss}

    def on_validation_epoch_end(self) -> None:
        self.log_dict({"watched": torch.tensor(1), "val_loss": torch.tensor(0.5)})

    def on_test_epoch_end(self) -> None:
        self.log("test_loss", torch.tensor(2))


def small(logger: Any, **options: Any) -> Any:
    return quiet(
        max_epochs=1,
        logger=logger,
        limit_train_batches=1,
        limit_val_batches=1,
        log_every_n_steps=1,
        **options,
    )


def test_a_fit_and_a_test_tell_it_what_they_tell_others_and_all_is_recorded() -> None:
    logger = Remembering("demo")
    trainer = small(logger)
    trainer.fit(Trained())
    trainer.test(verbose=False)
    assert logger.told == [
        (0, ["epoch", "train_loss"]),
        (0, ["epoch", "val_loss", "watched"]),
        (1, ["epoch", "test_loss"]),
    ]
    assert epochs() == {"val_loss": [0.5], "watched": [1.0]}
    assert list(points()["train_loss"]) == [0]
    assert points()["test_loss"] == {1: 2.0}
    assert len(tracker.runs()) == 1


def test_it_is_told_of_files_and_of_the_end() -> None:
    logger = Remembering("demo")
    trainer = quiet(max_steps=2, log_every_n_steps=1, logger=logger)
    trainer.fit(Trained())
    assert trainer.state.finished
    assert (logger.saved > 0, logger.ended) == (True, ["success"])
    assert run_named()["status"] == "finished"


def test_an_error_is_told_as_one() -> None:
    class Failing(BoringModel):  # type: ignore[misc]
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise RuntimeError("no such layer")

    logger = Remembering("demo")
    with pytest.raises(RuntimeError, match="no such layer"):
        small(logger).fit(Failing())
    assert logger.ended == ["failed"]
    assert run_named()["status"] == "failed"


def test_several_are_told_the_same() -> None:
    loggers = [Remembering("a"), Remembering("b")]
    quiet(max_steps=2, log_every_n_steps=1, logger=loggers).fit(Trained())
    assert loggers[0].told == loggers[1].told != []
    assert [one.ended for one in loggers] == [["success"]] * 2


def test_several_can_be_pickled_within_a_trainer() -> None:
    loggers = [TrackerLogger("a"), TrackerLogger("b")]
    for logger in loggers:
        assert logger.experiment is not None
        logger.log_metrics({"a": 1})
        logger.save()
    copied = pickle.loads(pickle.dumps(quiet(logger=loggers)))
    for logger in copied.loggers:
        logger.log_metrics({"acc": 1.0}, 0)
        logger.finalize("success")
    assert [logger.name for logger in copied.loggers] == ["a", "b"]
    assert points("b-2") == {"acc": {0: 1.0}}


class Tunable(BoringModel):  # type: ignore[misc]
    """Has a rate and a batch size that tuners can change."""

    def __init__(self, lr: float = 0.1, batch_size: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()


@pytest.mark.parametrize("method", ["lr_find", "scale_batch_size"])
def test_a_tuner_leaves_the_trainer_its_logger_and_records_nothing(method: str) -> None:
    logger = TrackerLogger("demo")
    trainer, model = quiet(max_epochs=1, logger=logger), Tunable()
    getattr(Tuner(trainer), method)(model)
    assert trainer.logger is model.logger is logger
    assert tracker.runs().empty
    trainer.fit(model)
    row = run_named()
    assert (row["status"], row["epochs"]) == ("finished", 1)


def test_the_experiment_of_other_processes_takes_every_call_and_does_nothing(script: Any) -> None:
    process = script(
        "import torch, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from lightning.pytorch import Callback\n"
        "from lightning.pytorch.demos.boring_classes import BoringModel\n"
        "from tests.helpers.lightning_models import quiet\n"
        "from tracker_integrations.lightning import TrackerLogger\n"
        "torch.set_num_threads(1)\n"
        "class Look(Callback):\n"
        "    def on_train_batch_start(self, trainer, module, batch, at):\n"
        "        run = module.logger.experiment\n"
        "        if trainer.is_global_zero:\n"
        "            assert run.recording\n"
        "        else:\n"
        "            assert run.something(foo='bar') is None and run.id is not None\n"
        "quiet(max_steps=1, logger=TrackerLogger('demo'), strategy='ddp_fork', devices=2,\n"
        "      callbacks=[Look()], enable_checkpointing=False).fit(BoringModel())\n",
        env={"OMP_NUM_THREADS": "1"},
    )
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error[-2000:]
    assert len(tracker.runs()) == 1


def test_a_step_of_one_s_own_is_the_one_that_counts() -> None:
    class Own(BoringModel):  # type: ignore[misc]
        asked = 0

        def on_train_epoch_end(self) -> None:
            self.asked += 1
            self.log_dict({"step": self.asked, "train_acc": self.asked / 10})

        def on_validation_epoch_end(self) -> None:
            self.asked += 1
            self.log_dict({"step": self.asked, "val_acc": self.asked / 10})

    logger = Remembering("demo")
    quiet(
        max_epochs=3,
        logger=logger,
        limit_train_batches=1,
        limit_val_batches=1,
        num_sanity_val_steps=0,
    ).fit(Own())
    assert [step for step, names in logger.told if "val_acc" in names] == [1, 3, 5]
    found = epochs()
    assert found["train_acc"] == pytest.approx([0.2, 0.4, 0.6])
    assert found["val_acc"] == pytest.approx([0.1, 0.3, 0.5])
    assert "step" not in found


def test_numbers_of_numpy_are_numbers_and_complex_ones_text() -> None:
    given = {
        "bool": np.bool_(1), "byte": np.byte(2), "int": np.int_(4), "longlong": np.longlong(5),
        "single": np.single(6.0), "double": np.double(8.9), "complex": np.cdouble(9 + 4j),
    }  # fmt: skip
    logger = TrackerLogger("demo")
    logger.log_hyperparams(given)
    logger.finalize("success")
    row = run_named()
    expected = {"bool": True, "byte": 2, "int": 4, "longlong": 5, "single": 6.0, "double": 8.9}
    assert {name: row[f"params.{name}"] for name in expected} == expected
    assert row["params.complex"] == "(9+4j)"


@pytest.mark.parametrize("wanted", [True, False])
def test_hyperparameters_are_recorded_where_the_module_says_so(wanted: bool) -> None:
    class Module(BoringModel):  # type: ignore[misc]
        def __init__(self, first: str, second: str) -> None:
            super().__init__()
            self.save_hyperparameters(logger=wanted)

    small(TrackerLogger("demo"), enable_checkpointing=False).fit(Module("pytorch", "lightning"))
    row = run_named()
    assert row.get("params.first") == ("pytorch" if wanted else None)


class Thing:
    """No number and no text."""


class WithParams(BoringModel):  # type: ignore[misc]
    """Keeps what it is given."""

    def __init__(self, hparams: dict[Any, Any]) -> None:
        super().__init__()
        self.save_hyperparameters(hparams)


class DataWithParams(BoringDataModule):  # type: ignore[misc]
    """Keeps what it is given."""

    def __init__(self, hparams: dict[Any, Any]) -> None:
        super().__init__()
        self.save_hyperparameters(hparams)


def test_hyperparameters_of_module_and_data_may_be_the_same_and_must_not_differ() -> None:
    params = {1: 1, "2": 2, "three": 3.0}
    small(TrackerLogger("same"), enable_checkpointing=False).fit(
        WithParams(params), DataWithParams(params)
    )
    row = run_named("same-1")
    assert (row["params.1"], row["params.2"], row["params.three"]) == (1, 2, 3.0)
    for change in ({1: 0}, {"2": Thing()}, {"three": torch.tensor(3)}):
        trainer = small(TrackerLogger("other"), enable_checkpointing=False)
        with pytest.raises(RuntimeError, match="Error while merging hparams"):
            trainer.fit(WithParams(params), DataWithParams({**params, **change}))
    failed = tracker.runs(where="experiment = 'other'")
    assert set(failed["status"]) == {"failed"}


def test_a_module_that_logs_nothing_is_recorded_as_well() -> None:
    class Silent(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.layer(batch[0]).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    small(TrackerLogger("demo"), enable_checkpointing=False).fit(Silent(), data())
    assert (run_named()["status"], run_named()["epochs"]) == ("finished", 1)
