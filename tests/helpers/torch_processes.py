"""Processes of their own that need not import torch again: forked from one that has."""

from __future__ import annotations

import multiprocessing

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(
    [
        "torch._dynamo",
        "alembic.command",
        "tracker.storage.migrate",
        "tracker.recording.start",
        "tracker_torch",
    ]
)
