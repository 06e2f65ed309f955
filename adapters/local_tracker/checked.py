"""Imported by the adapters before anything of ``tracker``: see `local_tracker.check_package`."""

from __future__ import annotations

from local_tracker import check_package

check_package()
