"""Where a training is in its data: the generators of its loaders, and the batch within the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from tracker_torch.loop.progress import length
from tracker_torch.state import serialization


@dataclass
class _Resumed:
    """The walk that a backup was taken in, how many batches of it were done, and of those before it."""

    began: dict[str, Any]
    done: int
    finished: list[int]
    length: int | None
    epoch_began: dict[str, Any] | None = None
    """The generators at the beginning of the epoch, and as each finished walk began and ended."""
    walks: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    middle: dict[str, Any] | None = None
    """The generators where the backup was taken."""
    on_arrival: Callable[[], None] | None = None
    """Called once the batches that were done are passed over."""


class Position:
    """Lets a resumed training see the same batches in the same order.

    A loader that shuffles by a generator of its own (``DataLoader(generator=…)``, or that of its
    sampler, batch sampler or the sampler within that) continues where that one was; others draw from
    torch's global generator, which a backup keeps anyway. After a backup in the middle of an epoch,
    the batches that were done are read and passed over, with the generators as they were when that
    epoch began: what its body draws before the first batch, such as a permutation, is the same
    again. An epoch may walk over several loaders, one after the other.

    A loader with ``persistent_workers`` draws once more from its generator where it starts them, in the first epoch.
    Where they ran at the backup they are started before anything is drawn; what they draw themselves begins anew.

    Attributes:
        watch_batches: whether there are backups in the middle of epochs.
        in_epoch: whether such a backup was restored.
        was_walked: whether the epoch at hand has walked over a loader.
    """

    def __init__(self) -> None:
        self._generators: list[torch.Generator] = []
        self._saved_states: list[Any] = []
        self._persistent: list[Any] = []
        self._had_workers: list[bool] = []
        self._began: dict[str, Any] | None = None
        self._epoch_began: dict[str, Any] | None = None
        self._walks: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._taken: list[int] = []
        self._length: int | None = None
        self._resumed: _Resumed | None = None
        self._start: tuple[int, int] | None = None
        self.watch_batches = self.in_epoch = self.was_walked = False

    def as_dict(self) -> dict[str, Any]:
        """Return the generators' states, now and when the walk began, the epoch's first step and walks."""
        return {
            "generators": self._states(),
            "workers": self._workers(),
            "began": self._began,
            "epoch_began": self._epoch_began,
            "walks": list(self._walks),
            "start": self._start,
            "taken": list(self._taken),
            "length": self._length,
        }

    def begin(self, epoch: int, step: int) -> None:
        """Note how many steps were done when an epoch began; one that continues in the middle keeps its own."""
        self._taken = []
        self.was_walked = False
        resumed = self._resumed
        if resumed is None:
            self._start = (epoch, step)
        if resumed is not None and resumed.epoch_began is not None:
            resumed.middle = self._now()
            self._set(**resumed.epoch_began)
            self._epoch_began, self._walks = resumed.epoch_began, []
        elif self.watch_batches:
            self._epoch_began, self._walks = self._now(), []

    def first_step(self, epoch: int) -> int | None:
        """Return how many steps were done when ``epoch`` began; None where its beginning is not known."""
        return self._start[1] if self._start is not None and self._start[0] == epoch else None

    def load(
        self,
        saved: Mapping[str, Any],
        batch: int | None,
        on_arrival: Callable[[], None] | None = None,
    ) -> None:
        """Continue from there.

        Args:
            saved: what `as_dict` returned.
            batch: how many of the epoch's batches are done, None for all.
            on_arrival: called once these are passed over; never where the epoch's data begins again.
        """
        self._saved_states, self.in_epoch = list(saved["generators"]), batch is not None
        self._had_workers = list(saved.get("workers", ()))
        if batch is not None and saved["began"] is not None:
            finished = list(saved.get("taken", ())[:-1])
            self._resumed = _Resumed(
                saved["began"], batch, finished, saved.get("length"), saved.get("epoch_began"),
                [(begin, end) for begin, end in saved.get("walks", ())], on_arrival=on_arrival,
            )  # fmt: skip
            self._start = saved.get("start")

    def walk(self, loader: Any, warn: Callable[[str], None]) -> Iterator[tuple[int, Any]]:
        """Return an iterator of ``(number, batch)`` that begins after the batches that are done.

        Args:
            loader: what to walk over.
            warn: told where it is not the loader of the backup, whose data then begins again.
        """
        self.was_walked = True
        self.meet(loader, self._workers_then())
        if self._resumed is not None and self._resumed.finished:
            return self._pass_over(loader, self._resumed.finished.pop(0))
        resumed, self._resumed = self._resumed, None
        known = length(loader)
        if resumed is not None and None not in (known, resumed.length) and known != resumed.length:
            warn(
                f"the backup was taken after {resumed.done} of {resumed.length} batches of this epoch, "
                f"but its loader has {known} now (another batch size, or other data). The epoch's data "
                f"begins again, so that none is left out: what was done is trained a second time."
            )
            resumed = None
        if resumed is not None:
            self._began, self._length = resumed.began, resumed.length
            return self._counted(self._go_on(loader, resumed), resumed.done)
        if not self.watch_batches:
            return enumerate(loader)
        self._began = self._now()
        self._length = known
        return self._counted(enumerate(loader), 0)

    def _go_on(self, loader: Any, resumed: _Resumed) -> Iterator[tuple[int, Any]]:
        # The loader's own are where the backup left them.
        now = {**(resumed.middle or self._now()), "generators": self._states()}
        self._set(**resumed.began)
        batches = enumerate(loader)
        _drop(batches, resumed.done)
        self._set(**now)
        if resumed.on_arrival is not None:
            resumed.on_arrival()
        return batches

    def _pass_over(self, loader: Any, taken: int) -> Iterator[tuple[int, Any]]:
        """Read what a finished walk took; the generators stay where they are."""
        now, resumed = self._now(), self._resumed
        number = len(self._taken)
        known = resumed is not None and number < len(resumed.walks)
        if resumed is not None and known:
            self._set(**resumed.walks[number][0])
        _drop(iter(loader), taken)
        if resumed is not None and known:
            self._set(resumed.walks[number][1]["rng"], now["generators"])
            self._walks.append(resumed.walks[number])
        else:
            self._set(**now)
        self._taken.append(taken)
        return iter(())

    def _counted(self, batches: Iterator[tuple[int, Any]], done: int) -> Iterator[tuple[int, Any]]:
        """Note how many batches this walk has taken, after the ``done`` that it passed over."""
        taken, walk = self._taken, len(self._taken)
        taken.append(done)
        began = self._began
        for number, batch in batches:
            taken[walk] = number + 1
            yield number, batch
        if began is not None:
            self._walks.append((began, self._now()))

    def meet(self, loader: Any, had_workers: Sequence[bool] | None = None) -> None:
        """Note the loader's own generators, and give each the state it had when it was backed up.

        ``had_workers``: which of the loaders with persistent workers had started them; as at the backup by default.
        """
        batches = getattr(loader, "batch_sampler", None)
        samplers = (getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
        for owner in (loader, *samplers):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, torch.Generator) and not any(
                generator is known for known in self._generators
            ):
                self._generators.append(generator)
                if self._saved_states:
                    generator.set_state(self._saved_states.pop(0))
        if getattr(loader, "persistent_workers", False):
            self._meet_workers(loader, had_workers)

    def _meet_workers(self, loader: Any, had_workers: Sequence[bool] | None) -> None:
        """Start the workers of a loader that had started them; nothing of the training is drawn for it."""
        if any(loader is known for known in self._persistent):
            return
        number = len(self._persistent)
        had = self._workers() if had_workers is None else had_workers
        self._persistent.append(loader)
        self._had_workers = self._had_workers[1:]
        if number < len(had) and had[number] and not _has_workers(loader):
            now = self._now()
            iter(loader)
            self._set(**now)

    def _workers_then(self) -> Sequence[bool] | None:
        """Return which loaders had started their workers where the walk that is repeated began; None: none is."""
        resumed, number = self._resumed, len(self._taken)
        if resumed is None:
            return None
        if not resumed.finished:
            began = resumed.began
        elif number < len(resumed.walks):
            began = resumed.walks[number][0]
        else:
            return None
        return list(began.get("workers", ()))

    def _now(self) -> dict[str, Any]:
        return {
            "rng": serialization.rng_state(),
            "generators": self._states(),
            "workers": self._workers(),
        }

    def _states(self) -> list[Any]:
        """Return the generators' states; of those not met yet since the resume, what was backed up."""
        return [*(generator.get_state() for generator in self._generators), *self._saved_states]

    def _workers(self) -> list[bool]:
        """Return which loaders have started persistent workers; of those not met yet, what was backed up."""
        return [*map(_has_workers, self._persistent), *self._had_workers]

    def _set(
        self, rng: Mapping[str, Any], generators: list[Any], workers: Sequence[bool] = ()
    ) -> None:
        serialization.set_rng_state(rng)
        for generator, saved in zip(self._generators, generators, strict=False):
            generator.set_state(saved)


def _has_workers(loader: Any) -> bool:
    return getattr(loader, "_iterator", None) is not None


def _drop(batches: Iterator[Any], count: int) -> None:
    for _ in islice(batches, count):
        pass
