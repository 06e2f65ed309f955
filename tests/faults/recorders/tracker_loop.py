"""This project, in a loop of one's own."""

from __future__ import annotations

import os

import pandas  # noqa: F401 - what is loaded here need not be in every fork

import tracker
import tracker.recording.start
from tests.faults.recorders.script import NAME, Found, Script

TITLE, PACKAGE, RESUMES = "this project, own loop", "local-tracker", True


def train(script: Script) -> None:
    """Record each epoch; a start resumes what was killed."""
    os.chdir(script.folder)
    with tracker.start_run("fault", NAME, resume="auto", system_metrics=False) as run:
        for epoch in range(run.first_epoch, script.epochs):
            run.log_epoch(epoch, script.metrics(epoch))
            script.acknowledge(epoch)


def read(script: Script) -> Found:
    """Read the frames of epochs and runs."""
    os.chdir(script.folder)
    found = Found(status=str(tracker.runs()["status"].iloc[0]))
    for _, row in tracker.epochs(NAME).iterrows():
        found.add(row["epoch"], row["loss"])
    return found
