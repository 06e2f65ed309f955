"""The words of the record: each state is an enum that is stored, shown and compared as its word."""

from __future__ import annotations

from enum import StrEnum


class Word(StrEnum):
    """Base of the states: a member is its word, also in messages and in an interpreter."""

    def __repr__(self) -> str:
        return repr(self.value)


class RunStatus(Word):
    """What became of a run, or of one attempt of it."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED_EARLY = "stopped_early"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    LOST = "lost"


OVERWRITTEN = "overwritten"
"""What listings call a checkpoint that is stored as pruned, and whose path a later one has taken."""


class CheckpointState(Word):
    """What is known of a registered file; only an available one may be loaded."""

    AVAILABLE = "available"
    PRUNED = "pruned"
    MISSING = "missing"
    MODIFIED = "modified"


class KeepRule(Word):
    """Which files stay in the store when a later run takes their name; pinned ones always do."""

    BEST = "best"
    """The best of each experiment and monitor."""
    RUN = "run"
    """The best of each run and monitor."""
    NONE = "none"
    """None but pinned ones."""


class VerdictWord(Word):
    """What a callback decided."""

    IMPROVED = "improved"
    WAITED = "waited"
    STOPPED = "stopped"
    RESTORED = "restored"
    SAVED = "saved"
    SKIPPED = "skipped"
    REDUCED = "reduced"
    SCHEDULED = "scheduled"
    PRUNED = "pruned"


class DirectionSource(Word):
    """Who says which way is better for a metric."""

    DECLARED = "declared"
    """A user: ``start_run(mode=)`` or `Run.define_metric`."""
    CALLBACK = "callback"
    """A callback that monitors it."""
    NAME = "name"
    """Its name."""
    GUESS = "guess"
    """Nobody: lower is taken for better."""


class StopCause(Word):
    """Why early stopping ended a training run; None stands for "did not stop"."""

    PATIENCE = "patience"
    THRESHOLD = "threshold"
    DIVERGENCE = "divergence"
    NOT_FINITE = "not-finite"


class Cause(Word):
    """What brought a decision about where it was not the callback's rule; None stands for the rule."""

    EXCEPTION = "exception"
    """Training raised, and its state was saved once more."""
    NOT_WRITTEN = "not-written"
    """The file could not be written: a full disk, a missing permission."""
    BETTER_FILE = "better-file"
    """A better file of an earlier attempt has the name already, and stays."""
    SAVE_LAST = "save-last"
    """The newest state is saved beside the files that are judged, as Lightning's ``last.ckpt``."""
