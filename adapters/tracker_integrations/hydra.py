"""Hydra: a run for each job, with the composed config as its parameters.

    # config.yaml
    hydra:
      callbacks:
        tracker:
          _target_: tracker_integrations.hydra.TrackerCallback

or on the command line ``+hydra.callbacks.tracker._target_=tracker_integrations.hydra.TrackerCallback``.
The run is active while the job runs: whatever trains in it records there.

Read in Hydra 1.3.8. The runs of the jobs of a sweep stand below one for the sweep.
"""

from __future__ import annotations

from typing import Any

import tracker
from tracker_integrations.needed import needed
from tracker_integrations.recording import Start

with needed("hydra", "hydra"):
    import hydra
    from hydra.core.utils import JobReturn, JobStatus
    from hydra.experimental.callback import Callback
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException


class TrackerCallback(Callback):
    """Record each job of a Hydra application as a run, and those of a sweep below one for the sweep.

    Args:
        experiment: what groups the runs; by default the name of the job.
        name: of the run; the experiment and a number by default.
        tags: labels, in addition to the overrides of the job.
        database: a path or URL.
    """

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        tags: Any = None,
        database: str | None = None,
    ) -> None:
        self._start: Start = {"experiment": experiment, "name": name, "database": database}
        self._tags = OmegaConf.to_container(tags) if isinstance(tags, DictConfig) else tags
        self._sweep: tracker.Run | None = None
        self._run: tracker.Run | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Begin the run of the only job: Hydra has not yet changed the working directory, if it is to."""
        self._run = self._begin(config, parent=None)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Begin the run of a sweep."""
        self._sweep = self._begin(config, parent=None)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """End the run of a sweep."""
        if self._sweep is not None:
            self._sweep.finish()

    def on_job_start(self, config: DictConfig, *, task_function: Any = None, **kwargs: Any) -> None:
        """Begin the run of a job, where it has none: it is the active one until the job ends."""
        if self._run is None:
            self._run = self._begin(config, parent=self._sweep)
        self._run.log_params(
            {name: value for name, value in _plain(config).items() if name != "hydra"}
        )
        self._run.capture(
            hydra={
                "version": hydra.__version__,
                "job": config.hydra.job.name,
                "overrides": list(config.hydra.overrides.task),
                "output_dir": str(config.hydra.runtime.output_dir),
            }
        )

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """End the run as the job ended."""
        run, self._run = self._run, None
        if run is None:
            return
        if job_return.status == JobStatus.FAILED:
            run.fail(job_return._return_value)
        else:
            value = job_return.return_value
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                run.log({"return_value": value})
            run.finish()

    def _begin(self, config: DictConfig, parent: tracker.Run | None) -> tracker.Run:
        job = config.hydra.job.name
        return tracker.start_run(
            experiment=self._start["experiment"] or job,
            name=self._start["name"] if parent is None else None,
            tags=self._tags,
            database=self._start["database"] if parent is None else None,
            parent=parent or tracker.active_run(),
        )


def _plain(node: Any) -> Any:
    """Return a part of a config as plain data, without what is missing; what can be resolved is."""
    if OmegaConf.is_dict(node):
        return {str(key): _value(node, key) for key in node if not OmegaConf.is_missing(node, key)}
    return [_value(node, at) for at in range(len(node))] if OmegaConf.is_list(node) else node


def _value(node: Any, key: Any) -> Any:
    """Return what stands at a key; an interpolation that leads nowhere as it is written."""
    try:
        return _plain(node[key])
    except OmegaConfBaseException:
        return OmegaConf.to_container(node, resolve=False)[key]
