"""A flight recorder for training runs.

    import tracker

    with tracker.start_run(experiment="digits", params={"lr": 1e-3}) as run:
        run.log_epoch(0, {"loss": 0.30, "val_loss": 0.35})

    tracker.runs(order_by="val_loss")

Names are loaded when they are asked for, so that ``import tracker`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker import files, policies
    from tracker.checkpointing.registry import Checkpoint
    from tracker.errors import (
        AmbiguousRun,
        BadValue,
        CheckpointError,
        DatabaseBusy,
        DatabaseTooNew,
        DatabaseTooOld,
        NotATrackerDatabase,
        NothingToResume,
        NotWritable,
        RunBusy,
        RunClosed,
        RunError,
        StoreError,
        TrackerError,
        UnknownMetric,
        UnknownRun,
        UsageError,
        WhereError,
    )
    from tracker.files import SavedFile, save_file
    from tracker.frames import checkpoints, compare, decisions, epochs, history, metrics, runs
    from tracker.ranks import enabled, rank
    from tracker.recording.active import Claim, Owner
    from tracker.recording.join import active_run, claim_run, join_run
    from tracker.recording.policy import Policy
    from tracker.recording.run import Run
    from tracker.recording.start import start_run
    from tracker.replays.api import replay
    from tracker.storage.session import session
    from tracker.values import number

__version__ = "0.1.0"

_HOMES = {
    "AmbiguousRun": "errors",
    "BadValue": "errors",
    "Checkpoint": "checkpointing.registry",
    "CheckpointError": "errors",
    "Claim": "recording.active",
    "DatabaseBusy": "errors",
    "DatabaseTooNew": "errors",
    "DatabaseTooOld": "errors",
    "NotATrackerDatabase": "errors",
    "NotWritable": "errors",
    "NothingToResume": "errors",
    "Owner": "recording.active",
    "Policy": "recording.policy",
    "Run": "recording.run",
    "RunBusy": "errors",
    "RunClosed": "errors",
    "RunError": "errors",
    "SavedFile": "files",
    "StoreError": "errors",
    "TrackerError": "errors",
    "UnknownMetric": "errors",
    "UnknownRun": "errors",
    "UsageError": "errors",
    "WhereError": "errors",
    "active_run": "recording.join",
    "checkpoints": "frames",
    "claim_run": "recording.join",
    "compare": "frames",
    "decisions": "frames",
    "enabled": "ranks",
    "epochs": "frames",
    "files": None,
    "history": "frames",
    "join_run": "recording.join",
    "metrics": "frames",
    "number": "values",
    "policies": None,
    "rank": "ranks",
    "replay": "replays.api",
    "runs": "frames",
    "save_file": "files",
    "session": "storage.session",
    "start_run": "recording.start",
}

__all__ = [
    "AmbiguousRun",
    "BadValue",
    "Checkpoint",
    "CheckpointError",
    "Claim",
    "DatabaseBusy",
    "DatabaseTooNew",
    "DatabaseTooOld",
    "NotATrackerDatabase",
    "NotWritable",
    "NothingToResume",
    "Owner",
    "Policy",
    "Run",
    "RunBusy",
    "RunClosed",
    "RunError",
    "SavedFile",
    "StoreError",
    "TrackerError",
    "UnknownMetric",
    "UnknownRun",
    "UsageError",
    "WhereError",
    "active_run",
    "checkpoints",
    "claim_run",
    "compare",
    "decisions",
    "enabled",
    "epochs",
    "files",
    "history",
    "join_run",
    "metrics",
    "number",
    "policies",
    "rank",
    "replay",
    "runs",
    "save_file",
    "session",
    "start_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tracker' has no attribute {name!r}")
    home = _HOMES[name]
    found = import_module(f"tracker.{name if home is None else home}")
    value = found if home is None else getattr(found, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
