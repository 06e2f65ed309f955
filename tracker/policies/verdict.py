"""The verdict of a policy on one epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from tracker.states import StopCause as StopCause
from tracker.states import VerdictWord


@dataclass(frozen=True)
class Record:
    """Base of every configuration and state of a policy."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain data; a NaN stays a NaN."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any] | None) -> Self:
        """Return what `as_dict` took apart.

        Keys this release does not know are passed over and those that are missing keep their
        default, so that a state saved by a newer or an older release can still be read.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in (saved or {}).items() if name in known})


@dataclass(frozen=True)
class Verdict(Record):
    """One verdict of one policy at one epoch.

    Attributes:
        verdict: the word that is recorded: improved, waited, stopped, reduced, scheduled, saved,
            skipped or pruned.
        reason: one sentence for a person, without a full stop.
        epoch: the 0-based epoch that was judged.
        monitor: name of the metric, or None for a policy without one.
        value: the metric at this epoch, or None where it was missing.
        best: the best value once this epoch is counted, or None for none yet.
        best_epoch: the epoch of that best value, or None.
        wait: checks since the last improvement once this epoch is counted, or None.
        improved: whether this epoch is the new best.
        stop: whether training should stop now.
        stopped_by: why it should stop, or None.
        lr_before: the learning rate that was handed in, or None.
        lr_after: the learning rate from now on, or None.
    """

    verdict: str
    reason: str
    epoch: int
    monitor: str | None = None
    value: float | None = None
    best: float | None = None
    best_epoch: int | None = None
    wait: int | None = None
    improved: bool = False
    stop: bool = False
    stopped_by: StopCause | None = None
    lr_before: float | None = None
    lr_after: float | None = None

    @property
    def save(self) -> bool:
        """Whether a checkpoint is to be written."""
        return self.verdict == VerdictWord.SAVED

    def as_decision(self) -> dict[str, Any]:
        """Return what a decision row keeps beside the word, as keywords of ``Policy.decide``."""
        return {
            "epoch": self.epoch,
            "reason": self.reason,
            "value": self.value,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "wait": self.wait,
            "lr_before": self.lr_before,
            "lr_after": self.lr_after,
        }
