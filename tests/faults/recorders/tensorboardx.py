"""tensorboardX: an event file a run, written by a thread of its own."""

from __future__ import annotations

import tensorboardX
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.faults.recorders.script import Found, Script

TITLE, PACKAGE, RESUMES = "tensorboardX", "tensorboardX", False


def train(script: Script) -> None:
    """Add each metric of each epoch."""
    with tensorboardX.SummaryWriter(str(script.folder / "events")) as writer:
        for epoch in range(script.epochs):
            for name, value in script.metrics(epoch).items():
                writer.add_scalar(name, value, epoch)
            script.acknowledge(epoch)


def read(script: Script) -> Found:
    """Read the events with TensorBoard's own reader; it holds single precision."""
    found = Found()
    events = EventAccumulator(str(script.folder / "events"), size_guidance={"scalars": 0})
    events.Reload()
    for event in events.Scalars("loss") if "loss" in events.Tags()["scalars"] else ():
        found.add(event.step, event.value)
    return found
