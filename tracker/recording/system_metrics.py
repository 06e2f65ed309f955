"""What the machine does while a run trains, measured by the writer's thread: rarely enough to cost next to nothing.

``TRACKER_SYSTEM=off`` switches it off, ``TRACKER_SYSTEM=5`` measures every 5 seconds. Names, units:

=========================================  ==========================================================
``system/cpu_percent``                     of the process and its children; 100 is one core
``system/memory_bytes``                    resident, of the process and its children
``system/memory_percent``                  of the machine's memory that is in use, by whomever
``system/disk_read_bytes_per_second``      of the process and its children; written likewise
``system/disk_free_bytes``                 where the database is
``system/network_received_bytes_per_second``  of the whole machine; sent likewise
``system/gpu0/utilization_percent``        and memory_bytes, power_watts, temperature_celsius of each card
``system/gpu0/energy_joules``              since this process began to record, by the card's own counter
=========================================  ==========================================================
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from tracker.recording.gpus import Cards, find_cards
from tracker.recording.process_tree import Usage, usage
from tracker.system_names import PREFIX
from tracker.variables import SYSTEM, is_off

EVERY_SECONDS = 15.0
LARGEST_SHARE = 0.002
"""Of a core: where one measurement takes long, they are rarer."""
_SHORTEST_SPAN = 10.0
"""Seconds that the last sample of a run is about at least, or one interval; a shorter run has none."""


def sampler_of(folder: Path | None, asked: bool | None) -> SystemSampler | None:
    """Return what measures a run: as ``asked``, else unless ``TRACKER_SYSTEM`` is off; None for nothing.

    Args:
        folder: where the database is; None for a server.
        asked: what the call that starts the run says.
    """
    wanted = not is_off(SYSTEM) if asked is None else asked
    return SystemSampler(folder, _interval(os.environ.get(SYSTEM, ""))) if wanted else None


def _interval(said: str) -> float:
    try:
        seconds = float(said)
    except ValueError:
        return EVERY_SECONDS
    return seconds if 0 < seconds < math.inf else EVERY_SECONDS


class SystemSampler:
    """Measures from time to time. One thread at a time; nothing raises.

    Args:
        folder: where the database is; None for a server.
        every: seconds between two samples.

    Attributes:
        unread: what cannot be measured here, and why.
    """

    def __init__(self, folder: Path | None, every: float = EVERY_SECONDS) -> None:
        self._folder = folder
        self._every = every
        self._cards: list[Cards] = []
        self._energy: dict[str, float] = {}
        self._last: Usage | None = None
        self._due = 0.0
        self.unread: dict[str, str] = {}

    @property
    def is_due(self) -> bool:
        """Whether it is time for another sample."""
        return self._last is not None and time.monotonic() >= self._due

    @property
    def can_end(self) -> bool:
        """Whether enough time has passed since the last measurement for one more at a run's end."""
        shortest = min(_SHORTEST_SPAN, self._every)
        return self._last is not None and time.monotonic() - self._last.at >= shortest

    @property
    def has_begun(self) -> bool:
        """Whether there is something that rates can be measured from."""
        return self._last is not None

    def begin(self) -> None:
        """Measure what rates start from, and find the cards."""
        if self._last is None:
            self._timed(self._begin)

    def sample(self) -> dict[str, float]:
        """Return what is measured now, by name; empty before `begin`."""
        found: dict[str, float] = {}
        self._timed(lambda: found.update(self._sample()))
        return found

    def _timed(self, measure: Callable[[], object]) -> None:
        """Measure, and set the time of the next sample by what this one cost."""
        before = time.thread_time()
        try:
            measure()
        except Exception as error:
            # Whatever a system or a driver says: training does not hear of it.
            self.unread["system"] = f"{type(error).__name__}: {error}"
        cost = time.thread_time() - before
        self._due = time.monotonic() + max(self._every, cost / LARGEST_SHARE)

    def _begin(self) -> None:
        self._last = usage()
        if self._last.disk_read_bytes is None:
            self.unread["disk"] = "this system does not tell what a process reads and writes"
        if self._last.network_sent_bytes is None:
            self.unread["network"] = "this system does not tell what its network carries"
        self._cards = find_cards(self.unread)
        self._energy = {name: value for name, value in self._of_cards().items() if _is_energy(name)}

    def _sample(self) -> dict[str, float]:
        before, self._last = self._last, usage()
        if before is None:
            return {}
        found = {**_rates(before, self._last), **self._of_machine()}
        for name, value in self._of_cards().items():
            found[name] = (
                value - self._energy.setdefault(name, value) if _is_energy(name) else value
            )
        return {f"{PREFIX}{name}": value for name, value in found.items()}

    def _of_machine(self) -> dict[str, float]:
        import psutil

        found = {"memory_percent": float(psutil.virtual_memory().percent)}
        if self._folder is not None:
            found["disk_free_bytes"] = float(psutil.disk_usage(str(self._folder)).free)
        return found

    def _of_cards(self) -> dict[str, float]:
        return {
            f"gpu{number}/{name}": value
            for cards in self._cards
            for number, reading in cards.read().items()
            for name, value in reading.items()
        }


def _is_energy(name: str) -> bool:
    return name.endswith("energy_joules")


def _rates(before: Usage, after: Usage) -> dict[str, float]:
    seconds = max(after.at - before.at, 1e-6)
    found = {
        "cpu_percent": max(0.0, 100 * (after.cpu_seconds - before.cpu_seconds) / seconds),
        "memory_bytes": float(after.memory_bytes),
    }
    sums = {
        "disk_read": (before.disk_read_bytes, after.disk_read_bytes),
        "disk_written": (before.disk_written_bytes, after.disk_written_bytes),
        "network_received": (before.network_received_bytes, after.network_received_bytes),
        "network_sent": (before.network_sent_bytes, after.network_sent_bytes),
    }
    for name, (then, now) in sums.items():
        if then is not None and now is not None:
            # A child that was killed may take its count with it.
            found[f"{name}_bytes_per_second"] = max(0.0, (now - then) / seconds)
    return found
