"""Rows of a CSV file are recognised as this run's own, whatever type wrote their cells."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tracker import CSVLog


def _numbers():
    import ml_dtypes

    return {
        "float": 0.1234567890123,
        "float32": np.float32(0.01),
        "float32 of many digits": np.float32(0.123456789),
        "float16": np.float16(0.3333),
        "bfloat16": ml_dtypes.bfloat16(0.9),
        "int": 24,
        "large int": 123456789,
        "bool": True,
        "numpy int": np.int64(7),
        "nan": float("nan"),
        "infinite": np.float32("inf"),
        "tiny": np.float32(1.5e-12),
        "negative": np.float32(-3.7),
    }


@pytest.mark.parametrize("kind", _numbers())
@pytest.mark.parametrize("shape", ["{}", '"[{}]"', "tensor({})"])
def test_own_rows_are_not_written_a_second_time(kind, shape, tmp_path):
    """Those of the attempt before are continued, and what another training wrote before stays."""
    value = _numbers()[kind]
    path = tmp_path / "log.csv"
    cell = shape.format(value)
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["epoch", "lr", "loss"])
        lines.writerows([epoch, 5.5, 0.77] for epoch in (0, 1))
        lines.writerows([epoch, cell, 0.5] for epoch in (0, 1))
    log = CSVLog(path)
    rows = log.resumed(log.read(), 2, lambda epoch: {"lr": float(value), "loss": 0.5}, shared=True)
    assert [(row["epoch"], row["lr"], row["loss"]) for row in rows] == [
        ("0", "5.5", "0.77"),
        ("1", "5.5", "0.77"),
        ("0", cell, "0.5"),
        ("1", cell, "0.5"),
    ]


def test_rows_of_another_training_are_not_taken_for_own_ones(tmp_path):
    """Where a number differs, however little of it is shown."""
    path = tmp_path / "log.csv"
    path.write_text("epoch,accuracy\r\n0,0.5\r\n1,0.75\r\n", newline="")
    log = CSVLog(path)
    rows = log.resumed(log.read(), 2, lambda epoch: {"accuracy": 0.503}, shared=True)
    assert [row["accuracy"] for row in rows] == ["0.5", "0.75", "0.503", "0.503"]
