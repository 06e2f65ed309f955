"""What several tests share: imported as ``tests.helpers.<name>``, by tests and by the processes that they start."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""
