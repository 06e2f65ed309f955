"""Keras' own: a CSV file, and a backup of the model."""

from __future__ import annotations

import csv

from keras.callbacks import BackupAndRestore, CSVLogger

from tests.faults.recorders.keras_fit import fit
from tests.faults.recorders.script import Found, Script

TITLE, PACKAGE, RESUMES = "Keras CSVLogger + BackupAndRestore", "keras", True


def train(script: Script) -> None:
    """Append each epoch and back it up; the next ``fit`` resumes a killed training."""
    fit(script, [CSVLogger("log.csv", append=True), BackupAndRestore("backup")])


def read(script: Script) -> Found:
    """Read the CSV file."""
    found = Found()
    with (script.folder / "log.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found.add(int(row["epoch"]), float(row["loss"]))
    return found
