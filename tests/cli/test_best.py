"""``tracker runs best``, ``metrics list`` and ``params list``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import tracker


@pytest.fixture(autouse=True)
def runs(folder: Path) -> None:
    """Record a and b, which monitor val_loss and save each epoch, a run of another experiment, and one of steps."""
    for name, losses in {"a": (0.3, 0.1, 0.2), "b": (0.4, 0.2), "other": (0.01,)}.items():
        experiment = "wine" if name == "other" else "digits"
        params = {"lr": 0.1 if name == "a" else 0.01, "act": "relu"}
        with tracker.start_run(experiment, name, params, monitor="val_loss") as run:
            for epoch, loss in enumerate(losses):
                run.log_epoch(epoch, {"val_loss": loss, "accuracy": 1 - loss, "learning_rate": 0.1})
                (folder / f"{name}{epoch}.pt").write_bytes(b"123")
                run.log_checkpoint(f"{name}{epoch}.pt", epoch=epoch, monitor="val_loss", value=loss)
    with tracker.start_run("steps", "s") as run:
        run.log({"batch_loss": 0.5}, step=7)
        run.log({"batch_loss": math.nan}, step=8)


def test_the_best_run_comes_with_its_epoch_and_its_file(cli: Any, folder: Path) -> None:
    name, sentence, file = cli("runs", "best", "digits").stdout.splitlines()
    assert name.split()[0] == "a"
    assert sentence == "val_loss 0.1 @ 1, the best of 2 runs of digits; finished."
    assert file == f"{folder / 'a1.pt'} (3 B)"
    assert cli("runs", "best", "digits", "--path").stdout == f"{folder / 'a1.pt'}\n"


def test_a_copy_in_a_remote_folder_is_named_where_the_file_is_gone(cli: Any, folder: Path) -> None:
    assert cli("checkpoints", "upload", "a", f"file://{folder}/far").exit_code == 0
    found = tracker.best("digits")
    assert found.checkpoint is not None
    assert (found.is_here, found.checkpoint["file"]) == (True, str(folder / "a1.pt"))
    (folder / "a1.pt").unlink()
    found = tracker.best("digits")
    assert found.checkpoint is not None
    assert (found.is_here, found.has_its_file) == (False, True)
    assert Path(found.checkpoint["remote"].removeprefix("file://")).read_bytes() == b"123"
    *_, copy, advice = cli("runs", "best", "digits").stdout.splitlines()
    assert copy == f"{found.checkpoint['remote']} (3 B)"
    command = f"tracker checkpoints restore {found.checkpoint['id']} -o a1.pt"
    assert advice == f"Only its copy is there: {command} fetches it."
    assert cli(*command.split()[1:]).exit_code == 0
    assert (folder / "a1.pt").read_bytes() == b"123"
    (folder / "a1.pt").unlink()
    only_path = cli("runs", "best", "digits", "--path")
    assert (only_path.exit_code, only_path.stdout) == (1, "")
    assert command in only_path.stderr
    (row,) = json.loads(cli("runs", "best", "digits", "--format", "json").stdout)
    assert (row["file"], row["remote"]) == (None, found.checkpoint["remote"])


def test_the_metric_and_the_runs_can_be_others(cli: Any) -> None:
    def best(*words: str) -> dict[str, Any]:
        (row,) = json.loads(cli("runs", "best", "digits", *words, "--format", "json").stdout)
        return dict(row)

    assert best("--where", "lr < 0.1")["run"] == "b"
    row = best("--metric", "accuracy")
    assert (row["run"], row["value"], row["epoch"], row["among"]) == ("a", 0.9, 1, 2)


def test_where_the_best_epoch_has_no_file_the_best_that_was_saved_is_told(
    cli: Any, folder: Path
) -> None:
    (folder / "a1.pt").unlink()
    assert (
        "a2.pt (3 B, of epoch 2: the best that was saved)" in cli("runs", "best", "digits").stdout
    )
    for epoch in (0, 2):
        (folder / f"a{epoch}.pt").unlink()
    assert "tracker checkpoints list a" in cli("runs", "best", "digits").stdout
    missing = cli("runs", "best", "digits", "--path")
    assert (missing.exit_code, missing.stdout) == (1, "")


def test_a_run_of_steps_has_a_best_step(cli: Any) -> None:
    assert "batch_loss 0.5 @ step 7, the best of 1 run" in cli("runs", "best", "steps").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["digts"], "There is no experiment 'digts': did you mean digits?"),
        (["digits", "--metric", "acuracy"], "did you mean accuracy?"),
        (["digits", "--metric", "learning_rate"], "has no best: declare which way is better"),
        (["digits", "--where", "lr > 5"], "None of the 2 runs of digits matches the filter."),
    ],
)
def test_without_a_best_the_error_says_what_there_is(cli: Any, words: list[str], said: str) -> None:
    result = cli("runs", "best", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_metrics_say_how_they_were_logged_and_who_is_best(cli: Any) -> None:
    rows = {
        row["metric"]: row for row in json.loads(cli("metrics", "list", "--format", "json").stdout)
    }
    assert rows["val_loss"] == {
        "metric": "val_loss", "logged": "epoch", "better": "lower", "runs": 3, "min": 0.01, "max": 0.4,
        "best": 0.01, "best_run": "other",
    }  # fmt: skip
    assert (rows["accuracy"]["better"], rows["learning_rate"]["best_run"]) == ("higher", None)
    assert rows["batch_loss"]["logged"] == "step"
    digits = ("metrics", "list", "--where", "experiment = 'digits'", "--format", "json")
    assert json.loads(cli(*digits, "--sort", "-metric", "-n", 1).stdout)[0]["best_run"] == "a"


def test_params_say_which_values_they_have(cli: Any) -> None:
    act, lr = json.loads(cli("params", "list", "--format", "json").stdout)
    assert act == {
        "param": "act", "runs": 3, "different": 1, "min": None, "max": None, "values": ["relu"],
    }  # fmt: skip
    assert (lr["different"], lr["min"], lr["max"], lr["values"]) == (2, 0.01, 0.1, [0.01, 0.1])
    assert [line.split()[0] for line in cli("params", "list", "--sort", "-runs,-param").stdout.splitlines()] == [
        "param", "lr", "act",
    ]  # fmt: skip
    assert "did you mean param?" in cli("params", "list", "--sort", "params").stderr
