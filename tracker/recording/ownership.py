"""Whose run it is: a training claims its run, and ends it if it was started for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from tracker.recording.active import Claim, Owner
from tracker.recording.join import claim_run
from tracker.recording.run import Run


class Ownership:
    """One training's hold on its run: claimed when training begins, or when the run is first asked for.

    Args:
        owner: the training; held weakly, so that one that was dropped is known to be.
        who: its class name, for messages.
        run: the run to record into; None: what `tracker.claim_run` finds.
        main: whether this process records.
        start: starts a run where none is active, instead of `tracker.claim_run`.
        **arguments: what `tracker.claim_run` starts a run with, or adds to one that it joins.
    """

    def __init__(
        self,
        owner: Owner,
        who: str,
        run: Run | None,
        *,
        main: bool,
        start: Callable[..., Run] | None = None,
        **arguments: Any,
    ) -> None:
        self._owner, self._who, self._given = ref(owner), who, run
        self._recording = None if main else False
        self._start, self._arguments = start, arguments
        self._claim: Claim[Run] | None = None
        self._held = False

    @property
    def run(self) -> Run | None:
        """The run of this training, claimed or released; None before it is first claimed."""
        return None if self._claim is None else self._claim.run

    @property
    def is_held(self) -> bool:
        """Whether the run is this training's."""
        return self._held

    @property
    def started(self) -> bool:
        """Whether the run was started for this training."""
        return self._claim is not None and self._claim.started

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended."""
        return self._claim is not None and self._claim.run.finished

    @property
    def is_left(self) -> bool:
        """Whether the training was dropped, or nobody drives it any more."""
        owner = self._owner()
        return owner is None or owner.is_left()

    def claim(self) -> list[str]:
        """Claim the run, unless it is held; a later training of the same owner gets the same one.

        Returns:
            A sentence for each argument that comes too late, to warn with.

        Raises:
            UsageError: as `tracker.claim_run`.
        """
        if self._held and not self.has_ended:
            return []
        if self._claim is not None and not self.has_ended:
            started = self._claim.started
            self._claim = self._claim_run(run=self._claim.run)
            self._claim.started = started
        else:
            self._claim = self._claim_run(run=self._given, start=self._start, **self._arguments)
        self._held = True
        return self._claim.notes

    def _claim_run(self, **arguments: Any) -> Claim[Run]:
        owner = self._owner()
        # It is the owner that asks.
        assert owner is not None
        return claim_run(owner, self._who, recording=self._recording, **arguments)

    def release(self) -> None:
        """Leave the run to its next training; the run does not end."""
        self._held = False
        if self._claim is not None:
            self._claim.release()

    def end(self, status: str = "finished", reason: str | None = None) -> None:
        """Release the run, and end it where it was started for this training."""
        self.release()
        if self._claim is not None and self._claim.started:
            self._claim.run.finish(status, reason)

    def fail(self, error: BaseException) -> None:
        """Do what `end` does, because of an error."""
        self.release()
        if self._claim is not None and self._claim.started and not self._claim.run.finished:
            self._claim.run.fail(error)
