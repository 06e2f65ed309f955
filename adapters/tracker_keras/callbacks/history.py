"""History: Keras' own, and read back from the database."""

from __future__ import annotations

from os import PathLike
from typing import Self

import keras

import tracker
from tracker_keras.session.base import Recorded


class History(Recorded, keras.callbacks.History):
    """What ``fit`` returns: metrics by name, one value per epoch.

    Attributes:
        history: metric name → values, in order; an epoch without the metric has no value in the list.
        epoch: the 0-based epochs.
    """

    @classmethod
    def from_run(cls, run: str, database: str | PathLike[str] | None = None) -> Self:
        """Read the history of a recorded run: what ``fit`` returned, or would have.

        Args:
            run: id, unique id prefix or name.
            database: URL or path; found as ``tracker.start_run`` finds it by default.

        Raises:
            tracker.UnknownRun: there is no such run.
        """
        history = cls()
        history.epoch = []
        for epoch in tracker.history(run, database=database):
            history.epoch.append(epoch["epoch"])
            for name, value in epoch["metrics"].items():
                history.history.setdefault(name, []).append(value)
        return history
