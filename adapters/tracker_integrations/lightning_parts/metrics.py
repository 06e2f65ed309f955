"""Which of Lightning's metrics belong to a step, and which to an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]
STEP = "step"
"""What a module logs under this name is no metric, but the step of those that it logs along with it."""


class Metrics:
    """The metrics of one fit, told apart by when `Trainer.callback_metrics` gets a new value for them.

    That mapping keeps the last value of each metric: a value that is the same object as before is an old one.
    """

    def __init__(self) -> None:
        self._of_steps: set[str] = set()
        self._at_epoch_begin: dict[str, Any] = {}
        self._at_batch_begin: dict[str, Any] = {}

    def begin_epoch(self, known: Values) -> None:
        """Remember what there is before an epoch."""
        self._at_epoch_begin = dict(known)

    def begin_batch(self, known: Values) -> None:
        """Remember what there is before a batch whose metrics are logged."""
        self._at_batch_begin = dict(known)

    def of_batch(self, known: Values) -> dict[str, Any]:
        """Return what the batch logged, under the names that Lightning's loggers get."""
        new = _new(known, self._at_batch_begin)
        self.note_steps(new)
        # A metric of steps and epochs is there as `loss` and as `loss_step`; loggers get the second.
        return {name: value for name, value in new.items() if f"{name}_step" not in new}

    def note_steps(self, names: Values) -> None:
        """Remember which metrics are logged at steps."""
        self._of_steps.update(names)

    def of_epoch(self, known: Values) -> dict[str, Any]:
        """Return the epoch's own metrics: those with a new value, without those of its last step."""
        return {
            name: value
            for name, value in _new(known, self._at_epoch_begin).items()
            if not self._is_of_steps(name, known)
        }

    def _is_of_steps(self, name: str, known: Values) -> bool:
        if name.endswith("_step") and f"{name.removesuffix('_step')}_epoch" in known:
            return True
        return name in self._of_steps and f"{name}_epoch" not in known


def _new(known: Values, before: Values) -> dict[str, Any]:
    return {
        name: value
        for name, value in known.items()
        if name != STEP and before.get(name) is not value
    }
