"""Which checkpoint files stay: the best k, or the last k."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from tracker.policies import reasons, validation
from tracker.policies.compare import single
from tracker.policies.modes import KERAS, LIGHTNING, TRACKER
from tracker.policies.monitored import Monitored

Id = TypeVar("Id")
File = tuple[Id, float | None, int | None]


def best_of(files: Iterable[File[Id]], direction: str, rules: str = TRACKER) -> Id | None:
    """Return the id of the file with the best value, the oldest of those that tie; None where no file has a value.

    Args:
        files: ``(id, value, epoch)`` of each, oldest first; a NaN counts as no value.
        direction: ``min`` or ``max``.
        rules: under ``keras-3.15`` values that are equal in single precision tie.
    """
    badness = [(*_badness(value, direction, rules), id) for id, value, _ in files]
    missing, _, best = min(badness, key=lambda item: item[:2], default=(True, 0.0, None))
    return None if missing else best


def _badness(value: float | None, direction: str, rules: str) -> tuple[bool, float]:
    """Return what sorts the best first, and last what has no value; to Lightning a NaN is the worst infinity."""
    if value is not None and math.isnan(value) and rules == LIGHTNING:
        return False, math.inf
    if value is None or math.isnan(value):
        return True, 0.0
    compared = single(value) if rules == KERAS else float(value)
    return False, compared if direction == "min" else -compared


@dataclass(frozen=True)
class Kept(Generic[Id]):
    """What `TopK.choose` returns.

    Attributes:
        keep: ids of the files that stay, best first (without a monitor: newest first).
        drop: ids of the files that go, oldest first.
        reasons: one sentence for each of ``drop``, in the same order.
    """

    keep: tuple[Id, ...]
    drop: tuple[Id, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class TopK(Monitored):
    """Keep the ``keep`` best files by ``monitor``, or the last ``keep`` where ``monitor`` is None.

    ``keep=None`` keeps all, ``keep=0`` none. A NaN and a missing value are worst. Of two files
    that tie, the older stays: a newcomer has to be strictly better. Under
    ``keras-3.15`` values that are equal in single precision tie. Under ``lightning-2.6`` a newcomer has to
    be strictly better as well, but of older files that tie the oldest goes, as in Lightning 2.6.6. It chooses
    only; whoever deletes still spares pinned and foreign files.

    Raises:
        BadValue: for a negative ``keep``, a monitor that is not a name, a mode that is unknown or
            that the name does not tell.
    """

    known_rules: ClassVar[tuple[str, ...]] = (TRACKER, KERAS, LIGHTNING)

    keep: int | None = None
    monitor: str | None = None
    mode: str = "auto"
    rules: str = TRACKER

    def __post_init__(self) -> None:
        self._check_monitor(optional=True)
        if self.keep is not None:
            hint = "Count the files that stay, as in keep=3, or leave it out to keep all."
            self._set(keep=validation.count(self.keep, "keep", hint=hint))

    def best(self, files: Iterable[File[Id]]) -> Id | None:
        """Return the id of the best file, as `best_of`; None where no file has a value."""
        return best_of(files, self.direction, self.rules)

    def choose(self, files: Iterable[File[Id]]) -> Kept[Id]:
        """Split files into those that stay and those that go.

        Args:
            files: ``(id, value, epoch)`` of each, oldest first; value and epoch may be None.
        """
        ranked = self._ranked(list(files))
        if self.keep is None:
            return Kept(tuple(id for _, (id, _, _) in ranked), (), ())
        stay, go = ranked[: self.keep], sorted(ranked[self.keep :], key=lambda item: item[0])
        worst = stay[-1][1] if stay else None
        return Kept(
            keep=tuple(id for _, (id, _, _) in stay),
            drop=tuple(id for _, (id, _, _) in go),
            reasons=tuple(self._reason(value, worst) for _, (_, value, _) in go),
        )

    def _ranked(self, files: Sequence[File[Id]]) -> list[tuple[int, File[Id]]]:
        numbered = list(enumerate(files))
        if self.monitor is None:
            return numbered[::-1]
        direction, rules = self.direction, self.rules

        def rank(item: tuple[int, File[Id]]) -> tuple[tuple[bool, float], int]:
            place, (_, value, _) = item
            is_newcomer = place == len(files) - 1
            age = -place if rules == LIGHTNING and not is_newcomer else place
            return _badness(value, direction, rules), age

        return sorted(numbered, key=rank)

    def _reason(self, value: float | None, worst: File[Id] | None) -> str:
        keep = self.keep or 0
        if self.monitor is None:
            return reasons.pruned_by_age(keep)
        _, rival, at = (None, None, None) if worst is None else worst
        return reasons.pruned_by_rank(self.monitor, value, keep, rival, at)
