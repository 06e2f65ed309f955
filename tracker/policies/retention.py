"""Which files of a run stay: the best, the newest, every n-th, as many as fit into a size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tracker.policies import reasons, validation
from tracker.policies.modes import TRACKER
from tracker.policies.monitored import Monitored
from tracker.policies.top_k import File, Id, Kept, TopK


@dataclass(frozen=True)
class Retention(Monitored):
    """Keep a file that is one of the ``best``, one of the ``last``, or of an ``every``-th epoch; then see to ``size``.

    Where none of the three is given, all files stay as far as ``size`` goes. It chooses only; whoever
    deletes still spares pinned and foreign files.

    Args:
        best: how many of the best by ``monitor``, as `TopK` ranks them: without one, the newest.
        last: how many of the newest.
        every: files of the epochs n, 2n, 3n …, counted from 1.
        size: how many bytes the files may take; the oldest go first, the best and the newest one never.
        monitor, mode, rules: as for `TopK`.

    Raises:
        BadValue: for a negative number, and for what `TopK` refuses.
    """

    best: int | None = None
    last: int | None = None
    every: int | None = None
    size: int | None = None
    monitor: str | None = None
    mode: str = "auto"
    rules: str = TRACKER

    def __post_init__(self) -> None:
        self._check_monitor(optional=True)
        hint = "Count the files that stay, or leave it out."
        for name in ("best", "last", "every", "size"):
            value = getattr(self, name)
            if value is not None:
                least = 1 if name == "every" else 0
                self._set(**{name: validation.count(value, name, least=least, hint=hint)})

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
        wanted = self._wanted(known) | set(spared)
        staying = [file for file in known if file[0] in wanted]
        beyond = self._beyond(staying, sizes or {}, spared)
        dropped = [file for file in known if file[0] not in wanted or file[0] in beyond]
        return Kept(
            keep=tuple(file[0] for file in staying if file[0] not in beyond),
            drop=tuple(file[0] for file in dropped),
            reasons=tuple(
                reasons.pruned_by_size(self.size or 0)
                if file[0] in beyond
                else reasons.pruned_by_retention(self.best, self.last, self.every)
                for file in dropped
            ),
        )

    def _wanted(self, files: Sequence[File[Id]]) -> set[Id]:
        if self.best is None and self.last is None and self.every is None:
            return {id for id, _, _ in files}
        wanted: set[Id] = set()
        if self.best is not None:
            wanted |= set(self._ranked(self.best).choose(files).keep)
        if self.last:
            wanted |= {id for id, _, _ in files[-self.last :]}
        if self.every:
            wanted |= {
                id for id, _, epoch in files if epoch is not None and (epoch + 1) % self.every == 0
            }
        return wanted

    def _ranked(self, keep: int) -> TopK:
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
            if total <= self.size:
                break
            if id not in staying:
                beyond.add(id)
                total -= sizes.get(id, 0)
        return beyond
