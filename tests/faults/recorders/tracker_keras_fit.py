"""This project's callbacks in Keras' ``fit``."""

from __future__ import annotations

from tests.faults.recorders.keras_fit import fit
from tests.faults.recorders.script import NAME, Script
from tests.faults.recorders.tracker_loop import PACKAGE, RESUMES, read
from tracker_keras import BackupAndRestore, TrackerCallback

__all__ = ["PACKAGE", "RESUMES", "TITLE", "read", "train"]

TITLE = "this project, Keras callbacks"


def train(script: Script) -> None:
    """Record and back up each epoch; the next ``fit`` resumes a killed training."""
    recorded = TrackerCallback("fault", NAME, resume="auto", system_metrics=False)
    fit(script, [recorded, BackupAndRestore("backup")])
