"""Names of what is measured of the machine while a run trains: they begin with ``system/``.

They are step metrics with a place of their own: no list of runs has a column for them, no run is judged by them.
"""

from __future__ import annotations

PREFIX = "system/"


def is_system(name: str) -> bool:
    """Say whether a metric is one of the machine's."""
    return name.startswith(PREFIX)
