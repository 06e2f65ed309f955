"""The Trainer of Transformers: what is recorded is what it logs, evaluates, saves and decides."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tracker
from tests.helpers.integrations import captured, children_of, epochs, points, run_named
from tracker.policies import TRANSFORMERS, EarlyStopping, replay_early_stopping

transformers = pytest.importorskip("transformers")
from sklearn.datasets import load_digits  # noqa: E402
from transformers import (  # noqa: E402
    BertConfig,
    BertForSequenceClassification,
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import TrainerControl  # noqa: E402
from transformers.trainer_utils import SaveStrategy  # noqa: E402

from tracker_integrations.transformers import TrackerCallback, attach  # noqa: E402


def data(first: int, last: int) -> list[dict[str, Any]]:
    """Return digits as sequences of sixteen tokens."""
    images, labels = load_digits(return_X_y=True)
    small = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).astype(int).reshape(-1, 16)
    return [
        {"input_ids": small[at].tolist(), "labels": int(labels[at])} for at in range(first, last)
    ]


TRAIN, VALID = data(0, 128), data(128, 192)


def trainer(*callbacks: Any, folder: str = "out", **options: Any) -> Any:
    config = BertConfig(
        vocab_size=17, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=16, num_labels=10,
    )  # fmt: skip
    transformers.set_seed(0)
    arguments = TrainingArguments(
        **{
            "output_dir": folder, "num_train_epochs": 3, "per_device_train_batch_size": 32,
            "per_device_eval_batch_size": 64, "logging_steps": 1, "eval_strategy": "epoch",
            "save_strategy": "no", "learning_rate": 1e-2, "report_to": "none", "use_cpu": True,
            "disable_tqdm": True, **options,
        }
    )  # fmt: skip
    return Trainer(
        BertForSequenceClassification(config),
        arguments,
        train_dataset=TRAIN,
        eval_dataset=VALID,
        callbacks=list(callbacks),
        compute_metrics=lambda it: {"accuracy": (it.predictions.argmax(-1) == it.label_ids).mean()},
    )


class Scripted(TrainerCallback):
    """Put scripted values in the place of what an evaluation found, before anybody looks at it."""

    def __init__(self, *losses: float) -> None:
        self.losses = list(losses)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        metrics["eval_loss"] = self.losses.pop(0)


def compare(made: Any, name: str | None = None) -> None:
    """Compare the log history of a Trainer with the step metrics that are recorded."""
    reported: dict[str, dict[int, float]] = {}
    for entry in made.state.log_history:
        for metric, value in entry.items():
            if metric not in ("step", "epoch"):
                reported.setdefault(metric, {})[entry["step"]] = value
    assert points(name) == reported


def saved() -> dict[str, list[str]]:
    """Return the names of the checkpoints that are recorded, by their state."""
    frame = tracker.checkpoints(run_named()["id"])
    found: dict[str, list[str]] = {}
    for row in frame.to_dict("records"):
        found.setdefault(row["state"], []).append(Path(row["path"]).name)
    return found


def test_all_that_the_trainer_logs_is_recorded() -> None:
    made = trainer(TrackerCallback("digits"))
    made.train()
    compare(made)
    assert run_named()["status"] == "finished"
    history = made.state.log_history
    found = epochs()
    for metric in ("eval_loss", "eval_accuracy"):
        assert found[metric] == [entry[metric] for entry in history if metric in entry]
    last_of_epoch = [entry for entry in history if "loss" in entry and entry["step"] % 4 == 0]
    assert found["loss"] == [entry["loss"] for entry in last_of_epoch]
    frame = tracker.epochs(run_named()["id"])
    assert frame["learning_rate"].tolist() == [entry["learning_rate"] for entry in last_of_epoch]
    assert frame["epoch"].tolist() == [0, 1, 2]
    assert "train_runtime" not in found


def test_what_is_logged_once_per_epoch_is_the_epoch_s() -> None:
    made = trainer(TrackerCallback(), logging_strategy="epoch")
    made.train()
    compare(made)
    assert epochs()["loss"] == [row["loss"] for row in made.state.log_history if "loss" in row]


def test_report_to_finds_it_once_the_module_is_imported() -> None:
    made = trainer(report_to="tracker")
    made.train()
    compare(made)


def test_parameters_are_the_arguments_that_tell_runs_apart() -> None:
    made = trainer(TrackerCallback(params={"note": "mine"}), weight_decay=0.25, warmup_steps=2)
    made.train()
    row = run_named()
    assert row["params.learning_rate"] == 1e-2
    assert row["params.weight_decay"] == 0.25
    assert row["params.warmup_steps"] == 2
    assert row["params.note"] == "mine"
    assert "params.output_dir" not in row
    assert "params.adam_beta1" not in row
    facts = captured()
    assert facts["transformers"]["version"] == transformers.__version__
    assert facts["model"]["parameters"] == sum(part.numel() for part in made.model.parameters())


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_is_recorded_as_decisions(first: bool) -> None:
    stopper = EarlyStoppingCallback(early_stopping_patience=2, early_stopping_threshold=0.01)
    ours = TrackerCallback()
    script = Scripted(2.0, 1.0, 0.995, 1.5, 0.1)
    made = trainer(
        script,
        *((ours, stopper) if first else (stopper, ours)),
        metric_for_best_model="loss",
        greater_is_better=False,
        num_train_epochs=5,
    )
    made.train()
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].tolist() == ["improved", "improved", "waited", "stopped"]
    assert told["wait"].tolist() == [0, 0, 1, 2]
    assert told["best"].tolist() == [2.0, 1.0, 0.995, 0.995]
    assert told["best_epoch"].tolist() == [0, 1, 2, 2]
    assert told["step"].tolist() == [4, 8, 12, 16]
    assert told["reason"].tolist() == [
        "eval_loss 2.000 is the first value",
        "eval_loss 1.000 beat 2.000 (epoch 0) by more than 0.01",
        "eval_loss 0.9950 did not beat 1.000 (epoch 1) by 0.01; 1 of 2 waits",
        "eval_loss 1.500 did not beat 0.9950 (epoch 2) by 0.01; 2 of 2 waits",
    ]
    row = run_named()
    assert (row["status"], row["reason"]) == ("stopped_early", told["reason"].iloc[-1])
    assert stopper.early_stopping_patience_counter == 2


def test_a_stop_that_another_callback_asks_for_is_one() -> None:
    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = state.global_step == 5

    trainer(TrackerCallback(), Stop()).train()
    row = run_named()
    assert row["status"] == "stopped_early"
    assert row["reason"] == "a callback set should_training_stop at step 5 of 12"
    assert row["epochs"] == 2


def test_what_is_saved_deleted_and_loaded_is_recorded() -> None:
    made = trainer(
        Scripted(2.0, 1.0, 3.0, 4.0),
        TrackerCallback(),
        num_train_epochs=4,
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
    )
    made.train()
    folders = sorted(folder.name for folder in Path("out").glob("checkpoint-*"))
    assert folders == ["checkpoint-16", "checkpoint-8"]
    assert sorted(saved()["available"]) == folders
    assert saved()["pruned"] == ["checkpoint-4", "checkpoint-12"]
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].value_counts().to_dict() == {"saved": 4, "pruned": 2, "restored": 1}
    last = told.iloc[-1]
    assert (last["verdict"], last["best"], last["best_epoch"]) == ("restored", 1.0, 1)
    assert made.state.best_model_checkpoint.endswith("checkpoint-8")
    assert "weights of epoch 1 restored, whose eval_loss 1.000 is the best" in last["reason"]
    reasons = told[told["verdict"] == "saved"]["reason"].tolist()
    assert reasons[1:3] == [
        "save_strategy is epoch; eval_loss 1.000 is the best so far",
        "save_strategy is epoch; eval_loss 3.000 is not the best so far",
    ]
    best = tracker.checkpoints(run_named()["id"]).set_index("epoch").loc[1]
    assert (best["monitor"], best["value"], best["step"]) == ("eval_loss", 1.0, 8)


def test_the_only_checkpoint_that_is_kept_at_the_end_is_the_best() -> None:
    made = trainer(
        Scripted(1.0, 2.0, 3.0),
        TrackerCallback(),
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
    )
    made.train()
    assert [folder.name for folder in Path("out").glob("checkpoint-*")] == ["checkpoint-4"]
    assert saved()["available"] == ["checkpoint-4"]


@pytest.mark.parametrize("restore", [False, True])
def test_a_training_that_resumes_goes_on_in_its_run(restore: bool) -> None:
    options = {
        "save_strategy": "epoch", "metric_for_best_model": "loss", "num_train_epochs": 4,
        "restore_callback_states_from_checkpoint": restore,
    }  # fmt: skip
    whole = trainer(TrackerCallback("whole"), folder="whole", **options)
    whole.train()
    expected = epochs("whole-1")

    class Die(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 9:
                raise RuntimeError("power cut")

    cut = trainer(TrackerCallback("cut"), EarlyStoppingCallback(3), Die(), **options)
    attach(cut)
    with pytest.raises(RuntimeError, match="power cut"):
        cut.train()
    assert run_named("cut-1")["status"] == "failed"
    again = trainer(TrackerCallback("cut"), EarlyStoppingCallback(3), **options)
    again.train(resume_from_checkpoint="out/checkpoint-8")
    assert (tracker.runs()["experiment"] == "cut").sum() == 1
    row = run_named("cut-1")
    assert (row["status"], row["epochs"]) == ("finished", 4)
    found = epochs("cut-1")
    assert found["eval_loss"] == pytest.approx(expected["eval_loss"], abs=1e-6)
    frame = tracker.epochs(row["id"])
    assert frame["attempt"].tolist() == [1, 1, 2, 2]


def test_a_training_that_resumes_knows_the_epoch_of_its_best() -> None:
    options = {
        "save_strategy": "epoch",
        "metric_for_best_model": "loss",
        "greater_is_better": False,
    }
    trainer(
        TrackerCallback("cut"),
        Scripted(0.1, 1.0),
        EarlyStoppingCallback(9),
        **options,
        num_train_epochs=2,
    ).train()
    again = trainer(Scripted(2.0, 2.0), EarlyStoppingCallback(9), **options, num_train_epochs=4)
    attach(again)
    again.train(resume_from_checkpoint=True)
    told = tracker.decisions(run_named()["id"])
    assert set(told[told["epoch"] > 1]["best_epoch"]) == {0}


def test_a_checkpoint_from_before_it_was_recorded_is_resumed() -> None:
    trainer(save_strategy="epoch").train()
    again = trainer(TrackerCallback(), save_strategy="epoch", num_train_epochs=4)
    again.train(resume_from_checkpoint=True)
    row = run_named()
    assert row["epochs"] == 1
    state = json.loads(Path("out/checkpoint-16/trainer_state.json").read_text())
    assert state["stateful_callbacks"]["TrackerCallback"]["attributes"]["run_id"] == row["id"]


def test_an_error_is_the_end_of_an_attached_training() -> None:
    class Fail(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            raise ValueError("no such layer")

    made = trainer(Fail())
    callback = attach(made, experiment="digits")
    assert attach(made) is callback
    with pytest.raises(ValueError, match="no such layer"):
        made.train()
    row = run_named()
    assert (row["name"], row["status"]) == ("digits-1", "failed")
    assert callback.run is not None


def test_an_evaluation_after_the_training_is_the_active_run_s() -> None:
    with tracker.start_run("digits") as run:
        made = trainer(TrackerCallback())
        made.train()
        found = made.evaluate()
        made.predict(VALID)
    kept = points(run.name)
    assert kept["eval_accuracy"][made.state.global_step] == found["eval_accuracy"]
    assert "test_loss" in kept
    assert run_named(run.name)["epochs"] == 3


def test_evaluations_within_an_epoch_are_judged_each() -> None:
    made = trainer(
        Scripted(2.0, 1.0, 1.5, 1.5, 1.5, 1.5, 0.1),
        EarlyStoppingCallback(3),
        TrackerCallback(),
        eval_strategy="steps",
        eval_steps=2,
        metric_for_best_model="loss",
        num_train_epochs=4,
    )
    made.train()
    told = tracker.decisions(run_named()["id"])
    assert told["step"].tolist() == [2, 4, 6, 8, 10]
    assert told["epoch"].tolist() == [0, 0, 1, 1, 2]
    assert told["verdict"].iloc[-1] == "stopped"


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_an_evaluation_on_several_data_sets_is_judged_by_the_one_that_is_named(
    names: tuple[str, str],
) -> None:
    made = trainer(
        EarlyStoppingCallback(2),
        TrackerCallback(),
        save_strategy="epoch",
        metric_for_best_model="a_loss",
        greater_is_better=False,
    )
    made.eval_dataset = dict.fromkeys(names, VALID)
    made.train()
    compare(made)
    found = [entry["eval_a_loss"] for entry in made.state.log_history if "eval_a_loss" in entry]
    told = tracker.decisions(run_named()["id"])
    checks = told[told["policy"] == "EarlyStopping"]
    assert checks["value"].tolist() == found
    assert checks["best"].tolist() == [min(found[: at + 1]) for at in range(3)]
    files = tracker.checkpoints(run_named()["id"]).set_index("epoch")
    assert files["value"].to_dict() == dict(enumerate(found))


def test_a_checkpoint_that_somebody_else_deletes_is_missed_and_no_decision() -> None:
    class Tidy(TrainerCallback):
        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            shutil.rmtree("out/checkpoint-4", ignore_errors=True)

    trainer(TrackerCallback(), Tidy(), save_strategy="epoch").train()
    assert saved() == {"available": ["checkpoint-8", "checkpoint-12"], "pruned": ["checkpoint-4"]}
    assert set(tracker.decisions(run_named()["id"])["verdict"]) == {"saved"}


def test_each_trial_of_a_search_is_a_run() -> None:
    pytest.importorskip("optuna")
    made = trainer(num_train_epochs=1, save_strategy="epoch")
    make = made.model
    made.model_init = lambda trial=None: type(make)(make.config)
    attach(made, experiment="search")
    with tracker.start_run("search", name="outer"):
        made.hyperparameter_search(
            hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1)},
            n_trials=2,
            direction="minimize",
        )
    assert children_of("outer") == {"search-2", "search-3"}
    assert run_named("outer")["epochs"] == 0
    compare(made, "search-3")
    assert run_named("search-2")["status"] == "finished"
    for name in ("search-2", "search-3"):
        (path,) = tracker.checkpoints(name)["path"]
        assert Path(path).is_dir()


def judged(values: list[float], patience: int, threshold: float, greater: bool) -> int:
    """Return the check at which the Trainer and its early stopping stop; -1 for never."""
    args = SimpleNamespace(
        metric_for_best_model="loss",
        greater_is_better=greater,
        save_strategy=SaveStrategy.EPOCH,
    )
    stopper = EarlyStoppingCallback(patience, threshold)
    state, control = TrainerState(), TrainerControl()
    part = SimpleNamespace(args=args, state=state)
    for epoch, value in enumerate(values):
        metrics = {"eval_loss": value}
        state.global_step = epoch + 1
        stopper.on_evaluate(args, state, control, metrics=metrics)
        Trainer._determine_best_metric(part, metrics=metrics, trial=None)
        if control.should_training_stop:
            return epoch
    return -1


def test_a_replay_with_its_own_settings_decides_as_the_trainer_did() -> None:
    """A thousand random series, NaN, infinities and ties among them."""
    rng = random.Random(17)
    special = [math.nan, math.inf, -math.inf, 0.5, 0.5, 0.51]
    for _ in range(1000):
        values = [
            rng.choice(special) if rng.random() < 0.2 else rng.uniform(0, 1)
            for _ in range(rng.randint(1, 14))
        ]
        patience, threshold = rng.randint(0, 4), rng.choice([0.0, 0.01, 0.2])
        greater = rng.random() < 0.5
        expected = judged(values, patience, threshold, greater)
        rule = EarlyStopping(
            "eval_loss",
            min_delta=threshold,
            patience=patience,
            mode="max" if greater else "min",
            rules=TRANSFORMERS,
        )
        replayed = replay_early_stopping([list(enumerate(values))], [patience], rule)
        assert replayed.stop_epoch[0, 0] == expected, (values, patience, threshold, greater)


def test_a_recorded_run_is_replayed_by_the_trainer_s_rules() -> None:
    made = trainer(
        Scripted(2.0, 1.0, 0.995, 1.5, 0.1),
        EarlyStoppingCallback(2, 0.01),
        TrackerCallback(),
        metric_for_best_model="loss",
        num_train_epochs=5,
    )

    # What is logged was found before it was replaced.
    class Log(TrainerCallback):
        losses = iter([2.0, 1.0, 0.995, 1.5])

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "eval_loss" in logs:
                logs["eval_loss"] = next(self.losses)

    made.callback_handler.callbacks.insert(0, Log())
    made.train()
    outcome = tracker.replay(run_named()["id"]).iloc[0]
    assert (outcome["rules"], outcome["stop_epoch"], outcome["best_epoch"]) == (TRANSFORMERS, 3, 2)
    assert tracker.replay(run_named()["id"], patience=1).iloc[0]["stop_epoch"] == 2
    assert tracker.replay(run_named()["id"], patience=4)["stop_epoch"].isna().all()
