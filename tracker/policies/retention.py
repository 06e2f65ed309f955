"""Which files of a run stay: the best, the newest, every n-th, as many as fit into a size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from tracker.errors import BadValue
from tracker.policies import reasons, validation
from tracker.policies.modes import TRACKER
from tracker.policies.monitored import Monitored
from tracker.policies.top_k import File, Id, Kept, TopK

_RULES = ("best", "last", "every", "size")


@dataclass(frozen=True)
class Retention(Monitored):
    """Keep a file that is one of the ``best``, one of the ``last``, or of an ``every``-th epoch; then see to ``size``.

    Where none of the three is given, all files stay as far as ``size`` goes. It chooses only; whoever
    deletes still spares pinned and foreign files.

    Args:
        best: how many of the best by ``monitor``, as `TopK` ranks them: without one, the newest.
        last: how many of the newest.
        every: files of the epochs n, 2n, 3n …, counted from 1.
        size: how many bytes the files may take, also as text such as "20GB"; the oldest go first, the best
            and the newest one never.
        monitor, mode, rules: as for `TopK`.

    Raises:
        BadValue: for a negative number, and for what `TopK` refuses.
    """

    known_rules: ClassVar[tuple[str, ...]] = TopK.known_rules

    best: int | None = None
    last: int | None = None
    every: int | None = None
    size: int | str | None = None
    monitor: str | None = None
    mode: str = "auto"
    rules: str = TRACKER

    def __post_init__(self) -> None:
        self._check_monitor(optional=True)
        hint = "Count the files that stay, or leave it out."
        for name in ("best", "last", "every"):
            value = getattr(self, name)
            if value is not None:
                least = 1 if name == "every" else 0
                self._set(**{name: validation.count(value, name, least=least, hint=hint)})
        if self.size is not None:
            self._set(size=validation.size(self.size))

    @classmethod
    def of(
        cls,
        keep: int | Retention | Mapping[str, int] | None,
        monitor: str | None = None,
        mode: str = "auto",
        rules: str = TRACKER,
    ) -> Retention:
        """Return the rule that ``keep`` means to a callback which watches ``monitor``.

        The best file of a run is never deleted: a rule that asks for the last or for every n-th keeps it, too.

        Args:
            keep: how many of the best files stay, such a rule, or its `settings`; None keeps all.
            monitor, mode, rules: those of the callback.

        Raises:
            BadValue: for a rule that watches another metric, and for what the rule itself refuses.
        """
        if isinstance(keep, Mapping):
            best, last, every, size = map(keep.get, _RULES)
            keep = cls(best, last, every, size)
        if not isinstance(keep, Retention):
            hint = "Count the files that stay, as in keep=3, or leave it out to keep all."
            best = None if keep is None else validation.count(keep, "keep", hint=hint)
            return cls(best, monitor=monitor, mode=mode, rules=rules)
        if keep.monitor not in (None, monitor):
            raise BadValue(
                f"keep ranks by {keep.monitor!r}, but the callback watches {monitor!r}: leave monitor out of "
                f"the Retention, or give the callback the same."
            )
        chooses = keep.last is not None or keep.every is not None
        best = keep.best or 1 if chooses and monitor is not None else keep.best
        return replace(keep, best=best, monitor=monitor, mode=mode, rules=rules)

    @property
    def settings(self) -> int | dict[str, int] | None:
        """What `of` makes this rule from again, as plain data; None where all files stay."""
        given = {name: value for name in _RULES if (value := getattr(self, name)) is not None}
        return self.best if set(given) <= {"best"} else given

    @property
    def most(self) -> int | None:
        """How many files stay at most; None where nothing limits their number."""
        if self.every is not None or (self.best is None and self.last is None):
            return None
        return (self.best or 0) + (self.last or 0)

    def choose(
        self,
        files: Iterable[File[Id]],
        sizes: Mapping[Id, int] | None = None,
        spared: Collection[Id] = (),
    ) -> Kept[Id]:
        """Split files into those that stay and those that go.

        Args:
            files: ``(id, value, epoch)`` of each, oldest first; value and epoch may be None.
            sizes: bytes of each; needed for ``size``.
            spared: ids of those that stay anyway, such as pinned ones.
        """
        known = list(files)
        ranked = self._ranked(self.best).choose(known)
        wanted = self._wanted(known, ranked) | set(spared)
        staying = [(id, value, epoch) for id, value, epoch in known if id in wanted]
        beyond = self._beyond(staying, sizes or {}, spared)
        dropped = [id for id, _, _ in known if id not in wanted or id in beyond]
        return Kept(
            keep=tuple(id for id, _, _ in staying if id not in beyond),
            drop=tuple(dropped),
            reasons=tuple(
                reasons.pruned_by_size(int(self.size or 0))
                if id in beyond
                else self._unwanted(id, ranked)
                for id in dropped
            ),
        )

    def _unwanted(self, file: Id, ranked: Kept[Id]) -> str:
        """Word why none of the rules keeps a file."""
        if self.last is None and self.every is None:
            return ranked.reasons[ranked.drop.index(file)]
        return reasons.pruned_by_retention(self.best, self.last, self.every)

    def _wanted(self, files: Sequence[File[Id]], ranked: Kept[Id]) -> set[Id]:
        if self.best is None and self.last is None and self.every is None:
            return {id for id, _, _ in files}
        wanted: set[Id] = set()
        if self.best is not None:
            wanted |= set(ranked.keep)
        if self.last:
            wanted |= {id for id, _, _ in files[-self.last :]}
        if self.every:
            wanted |= {
                id for id, _, epoch in files if epoch is not None and (epoch + 1) % self.every == 0
            }
        return wanted

    def _ranked(self, keep: int | None) -> TopK:
        return TopK(keep, self.monitor, self.mode, self.rules)

    def _beyond(
        self, files: Sequence[File[Id]], sizes: Mapping[Id, int], spared: Collection[Id]
    ) -> set[Id]:
        """Return which of the files that would stay do not fit."""
        if self.size is None:
            return set()
        staying = {*spared, *(id for id, _, _ in files[-1:])}
        best = None if self.monitor is None else self._ranked(1).best(files)
        if best is not None:
            staying.add(best)
        total = sum(sizes.get(id, 0) for id, _, _ in files)
        beyond: set[Id] = set()
        for id, _, _ in files:
            if total <= int(self.size):
                break
            if id not in staying:
                beyond.add(id)
                total -= sizes.get(id, 0)
        return beyond
