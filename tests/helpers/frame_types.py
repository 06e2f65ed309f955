"""Runs with a value of every kind, and what pandas must say of their columns, however many there are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import tracker

PARAMS = {"count": 3, "rate": 0.5, "flag": True, "word": "relu", "layers": [1, 2]}
TEXT = str(pd.Series(["a"]).dtype)
TIME = "datetime64[us, UTC]"

DTYPES: dict[str, dict[str, str]] = {
    "runs": {
        "id": TEXT, "name": TEXT, "experiment": "category", "status": "category", "started": TIME,
        "seconds": "float64", "epochs": "int64", "monitor": "category", "best": "float64", "best_epoch": "Int64",
        "best_step": "Int64", "restored_epoch": "Int64", "last": "float64", "last_epoch": "Int64",
        "last_step": "Int64", "ended": TIME, "reason": TEXT, "error": TEXT, "note": TEXT, "parent": TEXT,
    },
    "epochs": {
        "run": "category", "epoch": "int64", "attempt": "int64", "seconds": "float64", "learning_rate": "float64",
    },
    "metrics": {
        "run": "category", "name": "category", "step": "int64", "time": TIME, "value": "float64",
    },
    "decisions": {
        "run": "category", "epoch": "int64", "step": "Int64", "policy": "category", "monitor": "category",
        "value": "float64", "best": "float64", "best_epoch": "Int64", "wait": "Int64", "patience": "Int64",
        "verdict": "category", "reason": TEXT, "lr_before": "float64", "lr_after": "float64", "path": TEXT,
        "attempt": "int64", "decided": TIME,
    },
    "checkpoints": {
        "id": TEXT, "run": "category", "epoch": "Int64", "step": "Int64", "alias": "category", "state": "category",
        "pinned": "bool", "monitor": "category", "value": "float64", "bytes": "int64", "path": TEXT,
        "policy": "category", "attempt": "int64", "created": TIME, "kept": "category",
    },
}  # fmt: skip
"""Columns that there always are."""

WIDE = {
    "tags.team": TEXT, "params.count": "Int64", "params.rate": "float64", "params.flag": "boolean",
    "params.word": TEXT, "params.layers": "object", "loss": "float64", "captured.machine_count": "Int64",
    "captured.eager": "boolean",
}  # fmt: skip
"""Columns of runs that the first of `record` has."""


def record(runs: int) -> None:
    """Record runs: the first with a value of every kind, others with less."""
    file = Path("model.bin")
    file.write_bytes(b"1")
    for number in range(runs):
        is_whole = number == 0
        params = PARAMS if is_whole else {"rate": None}
        with tracker.start_run("kinds", f"kind-{number}", params, {"team": "x"}) as run:
            if is_whole:
                run.capture(machine_count=2, eager=False)
            policy = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 1})
            run.log({"batch_loss": 1.0}, step=0)
            run.log_epoch(0, {"loss": 0.5})
            policy.decide("waited", epoch=0, reason="r", value=0.5, wait=1 if is_whole else None)
            if is_whole:
                run.log_checkpoint(file, epoch=0, monitor="loss", value=0.5)


def found(what: str) -> dict[str, str]:
    """Return the dtype of each column of one of the frames."""
    frame: pd.DataFrame = getattr(tracker, what)()
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def check_types(runs: int) -> None:
    """Record runs, and check that each column of each frame has its type, however many there are."""
    record(runs)
    for what, dtypes in DTYPES.items():
        types = found(what)
        assert {name: types[name] for name in dtypes} == dtypes, what
    assert {name: found("runs")[name] for name in WIDE if runs} == (WIDE if runs else {})
