"""TrackerLogger, without its base class."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from tracker import Run, RunClosed
from tracker_integrations.recording import Recording


class LazyRun:
    """The run, begun at its first use: Lightning looks at every logger's experiment before it knows what to resume."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        recording = self._recording
        found = getattr(recording.run if recording.has_begun else recording.begin(), name)
        return partial(self._call, name) if callable(found) else found

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the run; what comes after its end is added to it."""
        recording = self._recording
        try:
            return getattr(recording.run, name)(*args, **kwargs)
        except RunClosed:
            recording.reopen()
            return getattr(recording.run, name)(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._recording.run) if self._recording.has_begun else "<Run, not begun yet>"


class LoggerParts:
    """Record what Lightning logs into a run.

    ``Trainer(logger=TrackerLogger(experiment="digits"))``. Inside ``with tracker.start_run()`` it joins that run;
    elsewhere it starts one, which ends with ``fit``: finished, stopped early, failed or interrupted.

    Args:
        experiment: what groups runs.
        name: the run's name; the experiment and a number by default.
        params, tags, database, resume, parent, strict: see ``tracker.start_run``.
        run: a run that is active already, to record into.
        save_dir: where Lightning's ModelCheckpoint makes its folders; ``Trainer(default_root_dir=)`` by default.
    """

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | os.PathLike[str] | None = None,
        resume: str | None = None,
        parent: Run | str | None = None,
        strict: bool = False,
        run: Run | None = None,
        save_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.recording = Recording(
            "TrackerLogger",
            {
                "experiment": experiment,
                "name": name,
                "params": params,
                "tags": tags,
                "database": database,
                "resume": resume,
                "parent": parent,
                "strict": strict,
                "run": run,
            },
        )
        self._save_dir = None if save_dir is None else os.fspath(save_dir)
        self._experiment_name = experiment
        self.watch: Any = None

    @property
    def run(self) -> Run:
        """The run; it begins here where it has not yet."""
        return self.recording.run if self.recording.has_begun else self.recording.begin()

    @property
    def experiment(self) -> Any:
        """The run, with everything that a ``tracker.Run`` has."""
        return LazyRun(self.recording)

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self.run.experiment

    @property
    def version(self) -> str:
        """The id of the run."""
        return self.run.id

    @property
    def save_dir(self) -> str | None:
        """Where ModelCheckpoint makes its folders; None for ``Trainer(default_root_dir=)``."""
        return self._save_dir

    @property
    def log_dir(self) -> str | None:
        """The same as `save_dir`: there are no log files."""
        return self._save_dir

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record metrics: during ``fit`` those of an epoch go into its row, all others are step metrics."""
        if self.watch is not None and not self.watch.takes(metrics):
            return
        self._begin()
        plain = {name: value for name, value in metrics.items() if name != "epoch"}
        self.recording.log(plain or metrics, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Record hyperparameters: a mapping, or a Namespace."""
        self._begin()
        given = vars(params) if isinstance(params, Namespace) else params
        self.recording.log_params(dict(given or {}))

    def _begin(self) -> None:
        """Begin, or go on in the run that has ended: ``test`` after ``fit`` adds to it."""
        if not self.recording.is_open:
            self.recording.reopen()

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Record nothing: a graph is not kept."""

    def save(self) -> None:
        """Do nothing: what is logged is on its way to disk."""

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Do nothing: files are registered when ModelCheckpoint has deleted what it replaces."""

    def finalize(self, status: str) -> None:
        """End the run that was started for this training; Lightning says "success" or "failed"."""
        if self.watch is None:
            self.recording.end("failed" if status == "failed" else "finished")
