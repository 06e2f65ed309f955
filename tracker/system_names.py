"""Names of what is measured of the machine while a run trains: they begin with ``system/``.

They are step metrics with a place of their own: no list of runs has a column for them, no run is judged by them.
"""

from __future__ import annotations

PREFIX = "system/"


def is_system(name: str) -> bool:
    """Say whether a metric is one of the machine's."""
    return name.startswith(PREFIX)


_UNITS = {
    "bytes_per_second": "B/s", "bytes": "B", "percent": "%", "watts": "W", "celsius": "°C", "joules": "J",
}  # fmt: skip


def unit_of(name: str) -> str | None:
    """Return the unit that the name of one of the machine's metrics ends with; None for every other metric."""
    ends = (end for end in _UNITS if name.endswith(f"_{end}"))
    return _UNITS[next(ends)] if is_system(name) and any(map(name.endswith, _UNITS)) else None
