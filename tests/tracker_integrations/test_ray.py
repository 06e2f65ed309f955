"""Ray Tune: what is recorded of an experiment is what its results say."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.integrations import children_of, epochs, points, run_named

ray = pytest.importorskip("ray", reason="make test-neighbours")
from ray import tune  # noqa: E402
from ray.tune.schedulers import AsyncHyperBandScheduler  # noqa: E402

from tracker_integrations.ray import TrackerCallback  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    """Start Ray once, for all tests of this file."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def train(config: dict[str, Any]) -> None:
    """Train a linear model on digits, an epoch per result, with a checkpoint each."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import SGDClassifier

    images, labels = load_digits(return_X_y=True)
    model = SGDClassifier(alpha=config["alpha"], random_state=0)
    for _ in range(4):
        model.partial_fit(images[:300] / 16, labels[:300], classes=range(10))
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "weights.json").write_text(json.dumps(model.coef_[0].tolist()))
            score = float(model.score(images[300:600] / 16, labels[300:600]))
            tune.report(
                {"score": score, "nested": {"twice": 2 * score}},
                checkpoint=tune.Checkpoint.from_directory(folder),
            )


def curve(config: dict[str, Any]) -> None:
    """Report a curve that has no model behind it."""
    for step in range(6):
        if config.get("fails") and step == 2:
            raise ValueError("no such layer")
        tune.report({"score": config["alpha"] * (step + 1)})


def fit(trainable: Any, space: dict[str, Any], folder: Path, **options: Any) -> Any:
    run = options.pop("run", {})
    callback = options.pop("callback", None) or TrackerCallback("tuning", name="outer")
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(max_concurrent_trials=1, **options),
        run_config=tune.RunConfig(
            callbacks=[callback], storage_path=str(folder / "ray"), verbose=0, **run
        ),
    ).fit()


def test_each_trial_is_a_run_below_the_experiment_s(folder: Path) -> None:
    keep = tune.CheckpointConfig(num_to_keep=2)
    found = fit(
        train, {"alpha": tune.grid_search([1e-4, 1.0])}, folder, run={"checkpoint_config": keep}
    )
    assert found.num_errors == 0
    names = {f"outer-{one.metrics['trial_id']}" for one in found}
    assert children_of("outer") == names
    for number, one in enumerate(found):
        name = f"outer-{one.metrics['trial_id']}"
        row = run_named(name)
        assert (row["status"], row["experiment"], row["epochs"]) == ("finished", "tuning", 4)
        assert row["params.alpha"] == one.config["alpha"]
        told = epochs(name)
        assert told["score"] == one.metrics_dataframe["score"].tolist()
        assert told["nested/twice"] == one.metrics_dataframe["nested/twice"].tolist()
        assert points("outer")["score"][number] == one.metrics["score"]
        files = tracker.checkpoints(row["id"]).set_index("state")["path"]
        kept = {path.name for path in Path(one.path).glob("checkpoint_*")}
        assert {Path(path).name for path in files.loc[["available"]]} == kept
        assert len(files.loc[["pruned"]]) == 2
    assert run_named("outer")["status"] == "finished"


def test_what_the_scheduler_said_is_a_decision_each(folder: Path) -> None:
    scheduler = AsyncHyperBandScheduler(grace_period=1, max_t=6, reduction_factor=2)
    found = fit(
        curve, {"alpha": tune.grid_search([3.0, 1.0])}, folder,
        scheduler=scheduler, metric="score", mode="max",
    )  # fmt: skip
    best, worse = (f"outer-{one.metrics['trial_id']}" for one in found)
    row, told = run_named(worse), tracker.decisions(worse)
    assert (row["status"], row["epochs"]) == ("stopped_early", 1)
    assert row["reason"] == "AsyncHyperBandScheduler ended the trial at result 0, where score is 1"
    assert told["verdict"].tolist() == ["stopped"]
    told = tracker.decisions(best)
    assert run_named(best)["status"] == "finished"
    assert told["verdict"].tolist() == ["improved"] * 6
    assert told["value"].tolist() == [3.0, 6.0, 9.0, 12.0, 15.0, 18.0]
    assert "has its max_t of 6" in told["reason"].iloc[-1]


def test_a_criterion_that_is_reached_is_a_stop(folder: Path) -> None:
    fit(curve, {"alpha": 1.0}, folder, run={"stop": {"score": 3}})
    (name,) = children_of("outer")
    row = run_named(name)
    assert (row["status"], row["epochs"]) == ("stopped_early", 3)
    assert row["reason"] == "{'score': 3} was reached at result 2"


def test_a_trial_that_raises_has_failed_and_the_others_train(folder: Path) -> None:
    space = {"alpha": 1.0, "fails": tune.grid_search([True, False])}
    found = fit(curve, space, folder)
    assert found.num_errors == 1
    rows = {run_named(name)["status"]: run_named(name) for name in children_of("outer")}
    assert set(rows) == {"failed", "finished"}
    assert rows["failed"]["reason"] == "training raised ValueError"
    assert (rows["failed"]["epochs"], rows["finished"]["epochs"]) == (2, 6)
    assert run_named("outer")["status"] == "finished"


def test_the_active_run_is_the_one_that_trials_stand_below(folder: Path) -> None:
    with tracker.start_run("mine", name="outside") as run:
        fit(curve, {"alpha": 1.0}, folder, callback=TrackerCallback())
        assert tracker.active_run() is run
    assert len(children_of("outside")) == 1
    assert run_named("outside")["status"] == "finished"
