"""Runs without the metric that a replay judges by: left out, unless they were named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tracker.errors import UnknownMetric, counted, nearest
from tracker.replays import curves
from tracker.replays.settings import Setup
from tracker.storage.database import Reader
from tracker.values import brief

_MOST_NAMES = 5


class MissingMetrics:
    """Keeps which runs were left out of a replay.

    Args:
        named: ids of the runs that were named, which are not left out but refused.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._named = set(named)
        self._left_out: dict[str, Setup] = {}

    def leave_out(self, setup: Setup) -> bool:
        """Return whether a run is left out, as it lacks the metric and nobody named it.

        Raises:
            UnknownMetric: for a run that was named and has other metrics; names them.
        """
        if setup.monitor in setup.metrics:
            return False
        if setup.run not in self._named:
            self._left_out[setup.run] = setup
            return True
        if setup.metrics:
            raise UnknownMetric(
                f"{setup.name} has no metric {_choice(setup.monitor, setup.metrics)}"
            )
        return False

    def report(self, reader: Reader, runs: Sequence[str]) -> str | None:
        """Say which of the runs to be replayed were left out; None where none with epochs was.

        Raises:
            UnknownMetric: when none was replayed.
        """
        if not self._left_out:
            return None
        trained = curves.with_epochs(reader, runs)
        setups = [self._left_out[run] for run in trained if run in self._left_out]
        if trained and len(setups) == len(trained):
            metrics = set().union(*(setup.metrics for setup in setups))
            raise UnknownMetric(f"No run has the metric {_choice(setups[0].monitor, metrics)}")
        by_monitor: dict[str, list[str]] = {}
        for setup in setups:
            by_monitor.setdefault(setup.monitor, []).append(setup.name)
        parts = (_sentence(monitor, sorted(names)) for monitor, names in by_monitor.items())
        return "; ".join(parts) or None


def _choice(monitor: str, metrics: set[str]) -> str:
    hint = nearest(monitor, sorted(metrics))
    return f"{brief(monitor)}: {hint} Choose one with monitor= or --monitor."


def _sentence(monitor: str, names: Sequence[str]) -> str:
    were = "was" if len(names) == 1 else "were"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{counted(len(names), 'run')} without {monitor} {were} left out: {shown}{more}"
