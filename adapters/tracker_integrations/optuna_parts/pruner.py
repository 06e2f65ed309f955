"""RecordedPruner: what a pruner of Optuna's said of a trial at each step, as decisions of the trial's run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

import tracker

REPORTED = "intermediate_value"
"""The step metric that holds what a trial reported."""
Key = tuple[str, int]
"""A trial: the name of its study, and its number."""


def mode_of(direction: StudyDirection) -> str:
    """Return which way is better: "min" or "max"."""
    return "max" if direction == StudyDirection.MAXIMIZE else "min"


def key_of(study: Study, trial: Trial | FrozenTrial) -> Key:
    """Return what tells a trial from others."""
    return study.study_name, trial.number


@dataclass(frozen=True)
class Judgement:
    """What a pruner said of a trial at one step."""

    step: int
    value: float
    verdict: str
    reason: str
    best: float | None
    best_step: int | None
    wait: int

    @classmethod
    def of(
        cls, pruner: BasePruner, study: Study, trial: FrozenTrial, *, pruned: bool
    ) -> Judgement | None:
        """Word a verdict about the newest value that a trial has reported; None where it has reported none."""
        step = trial.last_step
        if step is None:
            return None
        reported, mode = trial.intermediate_values, mode_of(study.direction)
        value = reported[step]
        best_step = _best_step(reported, mode)
        wait = sum(1 for at in reported if best_step is None or at > best_step)
        verdict = "stopped" if pruned else "improved" if best_step == step else "waited"
        return cls(
            step=step,
            value=value,
            verdict=verdict,
            reason=_reason(pruner, study, trial, value, pruned=pruned),
            best=None if best_step is None else reported[best_step],
            best_step=best_step,
            wait=wait,
        )


def _best_step(reported: Mapping[int, float], mode: str) -> int | None:
    finite = {step: value for step, value in sorted(reported.items()) if not math.isnan(value)}
    if not finite:
        return None
    best = min if mode == "min" else max
    return best(finite, key=lambda step: finite[step])


def _reason(
    pruner: BasePruner, study: Study, trial: FrozenTrial, value: float, *, pruned: bool
) -> str:
    name, step = type(pruner).__name__, trial.last_step
    if not pruned:
        return f"{name} lets trial {trial.number} continue at step {step}, where it reported {value:.4g}"
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    others = [
        reported
        for other in complete
        if not math.isnan(reported := other.intermediate_values.get(step, math.nan))
    ]
    pruned_at = f"{name} pruned trial {trial.number} at step {step}, where it reported {value:.4g}"
    if not others:
        return pruned_at
    return f"{pruned_at}; of {len(others)} complete trials there the median is {median(others):.4g}"


class RecordedPruner(BasePruner):
    """Judge as another pruner does, and record each verdict as a decision of the trial's run.

    Args:
        pruner: the one that decides.
    """

    def __init__(self, pruner: BasePruner) -> None:
        self.pruner = pruner
        self._policies: dict[Key, tuple[tracker.Run, tracker.Policy]] = {}
        self._pending: dict[Key, list[Judgement]] = {}
        self._last: dict[Key, Judgement] = {}

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return what the other pruner says."""
        pruned = bool(self.pruner.prune(study, trial))
        judgement = Judgement.of(self.pruner, study, trial, pruned=pruned)
        if judgement is not None:
            key = key_of(study, trial)
            self._last[key] = judgement
            if key in self._policies:
                _record(*self._policies[key], judgement)
            else:
                self._pending.setdefault(key, []).append(judgement)
        return pruned

    def record_into(self, run: tracker.Run, key: Key) -> None:
        """Record the verdicts of a trial, those that there are and those that come, into a run."""
        policy = run.add_policy(
            type(self.pruner).__name__, monitor=REPORTED, config=_settings(self.pruner)
        )
        self._policies[key] = run, policy
        for judgement in self._pending.pop(key, []):
            _record(run, policy, judgement)

    def reason(self, key: Key) -> str | None:
        """Return why it last pruned a trial; None where it did not."""
        last = self._last.get(key)
        return None if last is None or last.verdict != "stopped" else last.reason

    def forget(self, key: Key) -> None:
        """Take no further verdict of a trial."""
        self._policies.pop(key, None)
        self._last.pop(key, None)

    @property  # type: ignore[misc]  # it can be asked for, and not set
    def __class__(self) -> type[BasePruner]:
        """The class of the other pruner: samplers ask whether it is a HyperbandPruner."""
        return type(self.pruner)

    def __getattr__(self, name: str) -> Any:
        if name == "pruner":  # not there yet: it is being unpickled
            raise AttributeError(name)
        return getattr(self.pruner, name)

    def __reduce__(self) -> tuple[type[RecordedPruner], tuple[BasePruner]]:
        """Leave out the runs, which only this process records."""
        return RecordedPruner, (self.pruner,)


def _record(run: tracker.Run, policy: tracker.Policy, judgement: Judgement) -> None:
    if run.finished:
        return
    policy.decide(
        judgement.verdict,
        epoch=judgement.step,
        reason=judgement.reason,
        value=judgement.value,
        best=judgement.best,
        best_epoch=judgement.best_step,
        wait=judgement.wait,
    )


def _settings(pruner: BasePruner) -> dict[str, Any]:
    """Return the plain ones of a pruner's attributes, which are private in Optuna."""
    plain = (str, int, float, bool, type(None))
    return {
        name.lstrip("_"): value for name, value in vars(pruner).items() if isinstance(value, plain)
    }
