"""tensorboardX: an event file a run, a record a point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import tensorboardX


def version() -> str:
    """Return the release that is measured."""
    return str(tensorboardX.__version__)


class Peer:
    """``add_scalar`` once a metric."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        self.writer = tensorboardX.SummaryWriter(str(folder), flush_secs=1)

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Add each metric."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Return when everything is in the file."""
        self.writer.close()

    def read(self) -> Any:
        """Return a long pandas frame, read by TensorBoard's own reader."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(self.folder), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        parts = []
        for name in events.Tags()["scalars"]:
            part = pd.DataFrame(events.Scalars(name))
            part.insert(0, "name", name)
            parts.append(part)
        return pd.concat(parts)
