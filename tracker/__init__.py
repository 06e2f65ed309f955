"""A flight recorder for training runs.

    import tracker

    with tracker.start_run(experiment="digits", params={"lr": 1e-3}) as run:
        run.log_epoch(0, {"loss": 0.30, "val_loss": 0.35})

    tracker.runs(order_by="val_loss")

A name is loaded when it is first used, so that ``import tracker`` costs next to nothing. A new public name
is a line in `_HOME_OF`, and the same import for type checkers, which cannot read that table; a test
compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.lazy import loader

if TYPE_CHECKING:
    from tracker import files as files
    from tracker import policies as policies
    from tracker.checkpointing.registry import Checkpoint as Checkpoint
    from tracker.csv_log import CSVLog as CSVLog
    from tracker.errors import AmbiguousRun as AmbiguousRun
    from tracker.errors import BadValue as BadValue
    from tracker.errors import CheckpointError as CheckpointError
    from tracker.errors import DatabaseBusy as DatabaseBusy
    from tracker.errors import DatabaseTooNew as DatabaseTooNew
    from tracker.errors import DatabaseTooOld as DatabaseTooOld
    from tracker.errors import NotATrackerDatabase as NotATrackerDatabase
    from tracker.errors import NothingToResume as NothingToResume
    from tracker.errors import NotWritable as NotWritable
    from tracker.errors import RunBusy as RunBusy
    from tracker.errors import RunClosed as RunClosed
    from tracker.errors import RunError as RunError
    from tracker.errors import StoreError as StoreError
    from tracker.errors import TrackerError as TrackerError
    from tracker.errors import UnknownMetric as UnknownMetric
    from tracker.errors import UnknownRun as UnknownRun
    from tracker.errors import UsageError as UsageError
    from tracker.errors import WhereError as WhereError
    from tracker.exports.arrow import arrow as arrow
    from tracker.exports.frame import frame_of as frame_of
    from tracker.files import SavedFile as SavedFile
    from tracker.files import save_file as save_file
    from tracker.frames import checkpoints as checkpoints
    from tracker.frames import compare as compare
    from tracker.frames import decisions as decisions
    from tracker.frames import epochs as epochs
    from tracker.frames import history as history
    from tracker.frames import iter_metrics as iter_metrics
    from tracker.frames import metrics as metrics
    from tracker.frames import runs as runs
    from tracker.ranks import enabled as enabled
    from tracker.ranks import rank as rank
    from tracker.recording.active import Claim as Claim
    from tracker.recording.active import Owner as Owner
    from tracker.recording.background import BackgroundSaver as BackgroundSaver
    from tracker.recording.join import active_run as active_run
    from tracker.recording.join import claim_run as claim_run
    from tracker.recording.join import join_run as join_run
    from tracker.recording.loading import Loaded as Loaded
    from tracker.recording.loading import best as best
    from tracker.recording.loading import load_checkpoint as load_checkpoint
    from tracker.recording.ownership import Ownership as Ownership
    from tracker.recording.policy import Policy as Policy
    from tracker.recording.run import Run as Run
    from tracker.recording.start import start_run as start_run
    from tracker.replays.api import replay as replay
    from tracker.series.deferred import numbers as numbers
    from tracker.series.deferred import ready_number as ready_number
    from tracker.storage.session import session as session
    from tracker.values import number as number
    from tracker.web.notebook import ui as ui

__version__ = "0.1.0"

_HOME_OF = {
    "AmbiguousRun": "tracker.errors",
    "BackgroundSaver": "tracker.recording.background",
    "BadValue": "tracker.errors",
    "CSVLog": "tracker.csv_log",
    "Checkpoint": "tracker.checkpointing.registry",
    "CheckpointError": "tracker.errors",
    "Claim": "tracker.recording.active",
    "DatabaseBusy": "tracker.errors",
    "DatabaseTooNew": "tracker.errors",
    "DatabaseTooOld": "tracker.errors",
    "Loaded": "tracker.recording.loading",
    "NotATrackerDatabase": "tracker.errors",
    "NotWritable": "tracker.errors",
    "NothingToResume": "tracker.errors",
    "Owner": "tracker.recording.active",
    "Ownership": "tracker.recording.ownership",
    "Policy": "tracker.recording.policy",
    "Run": "tracker.recording.run",
    "RunBusy": "tracker.errors",
    "RunClosed": "tracker.errors",
    "RunError": "tracker.errors",
    "SavedFile": "tracker.files",
    "StoreError": "tracker.errors",
    "TrackerError": "tracker.errors",
    "UnknownMetric": "tracker.errors",
    "UnknownRun": "tracker.errors",
    "UsageError": "tracker.errors",
    "WhereError": "tracker.errors",
    "active_run": "tracker.recording.join",
    "arrow": "tracker.exports.arrow",
    "best": "tracker.recording.loading",
    "checkpoints": "tracker.frames",
    "claim_run": "tracker.recording.join",
    "compare": "tracker.frames",
    "decisions": "tracker.frames",
    "enabled": "tracker.ranks",
    "epochs": "tracker.frames",
    "files": "tracker.files",
    "frame_of": "tracker.exports.frame",
    "history": "tracker.frames",
    "iter_metrics": "tracker.frames",
    "join_run": "tracker.recording.join",
    "load_checkpoint": "tracker.recording.loading",
    "metrics": "tracker.frames",
    "number": "tracker.values",
    "numbers": "tracker.series.deferred",
    "policies": "tracker.policies",
    "rank": "tracker.ranks",
    "ready_number": "tracker.series.deferred",
    "replay": "tracker.replays.api",
    "runs": "tracker.frames",
    "save_file": "tracker.files",
    "session": "tracker.storage.session",
    "start_run": "tracker.recording.start",
    "ui": "tracker.web.notebook",
}
"""The public names, and the module that each is loaded from."""

__all__ = sorted(_HOME_OF)


# Type checkers do not see this: to them, a name that is not public is an error.
if not TYPE_CHECKING:
    __getattr__ = loader(__name__, _HOME_OF)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
