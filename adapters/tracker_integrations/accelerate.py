"""Accelerate: ``log_with="tracker"``, and what is logged, configured and finished goes into a run.

    import tracker_integrations.accelerate

    accelerator = Accelerator(log_with="tracker")
    accelerator.init_trackers("digits", config={"lr": 1e-3})
    accelerator.log({"loss": 0.31}, step=10)
    accelerator.end_training()

Read in Accelerate 1.15.0. An Accelerator knows steps, no epochs: one that is logged with
``log_kwargs={"tracker": {"epoch": 3}}`` is recorded as the end of that epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import tracker
from tracker_integrations.needed import needed
from tracker_integrations.recording import Recording, Start

with needed("accelerate", "accelerate"):
    from accelerate import tracking
    from accelerate.tracking import GeneralTracker, on_main_process


class RunTracker(GeneralTracker):
    """Record what an Accelerator logs; also to be given as ``log_with=RunTracker("digits")``.

    Args:
        experiment: what groups runs; the project's name that ``init_trackers`` was given.
        **start: ``name``, ``params``, ``tags``, ``database``, ``resume``, ``strict`` as for `tracker.start_run`,
            and ``run``, one to record into; ``init_trackers`` takes them as ``init_kwargs={"tracker": {...}}``.
    """

    name = "tracker"
    requires_logging_directory = False

    def __init__(self, experiment: str | None = None, **start: Any) -> None:
        super().__init__()
        self._recording = Recording("RunTracker", cast(Start, {"experiment": experiment, **start}))

    @on_main_process  # type: ignore[untyped-decorator]  # Accelerate gives it no types
    def start(self) -> None:
        """Begin the run, or join the active one."""
        self._recording.begin()

    @property
    def tracker(self) -> tracker.Run:
        """The run."""
        return self._recording.run

    @on_main_process  # type: ignore[untyped-decorator]  # Accelerate gives it no types
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Record the hyperparameters."""
        self._recording.log_params(values)

    @on_main_process  # type: ignore[untyped-decorator]  # Accelerate gives it no types
    def log(
        self,
        values: Mapping[str, Any],
        step: int | None = None,
        epoch: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Record step metrics, or with ``epoch`` those of an epoch; what is not one number is left out.

        Args:
            values: names and one number each.
            step: any integer; the last step + 1 by default.
            epoch: the 0-based number of the epoch that these are the metrics of.
            **kwargs: of other trackers.
        """
        if epoch is None:
            self._recording.log(values, step)
        else:
            self._recording.log_epoch(epoch, values, step=step)

    @on_main_process  # type: ignore[untyped-decorator]  # Accelerate gives it no types
    def finish(self) -> None:
        """End the run that was started for this tracker."""
        self._recording.end()


tracking.LOGGER_TYPE_TO_CLASS.setdefault(RunTracker.name, RunTracker)
