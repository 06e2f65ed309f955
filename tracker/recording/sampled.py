"""The measurements of the machine on their way into the database: step metrics in blocks of their own.

Their steps are the whole seconds since the run began, so that they count on in a resumed run; they come neither
between the calls of ``log`` nor into what a run without epochs is judged by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tracker.clock import now
from tracker.recording.streamed import StreamedMetrics
from tracker.recording.system_metrics import SystemSampler

FIRST_BLOCK = -(1 << 30)
"""Numbers below those of the blocks that ``log`` fills, and so never after them."""
_BEGIN_AFTER = 1.0
"""Seconds that a run lasts at least before it is measured: a shorter one costs nothing."""


class SampledMetrics(StreamedMetrics):
    """Samples of one run, from the writer's thread.

    Args:
        run_id, attempt: what is sampled first belongs to.
        began: when the run began, in µs since 1970.
        sampler: what measures; None for nothing.
    """

    def __init__(
        self, run_id: str, attempt: int, *, began: int, sampler: SystemSampler | None
    ) -> None:
        super().__init__(
            run_id, attempt, next_step=0, wake=lambda: None, first_block=FIRST_BLOCK, shared=False
        )
        self._began = began
        self._sampler = sampler
        self._opened = time.monotonic()
        self._told: dict[str, str] = {}
        self.tell: Callable[[Mapping[str, str]], None] | None = None

    def look(self) -> None:
        """Take a sample where one is due; called about once a second."""
        sampler = self._sampler
        if sampler is None:
            return
        if not sampler.has_begun:
            if time.monotonic() - self._opened >= _BEGIN_AFTER:
                sampler.begin()
        elif sampler.is_due:
            self._take(sampler)
        if sampler.unread != self._told and self.tell is not None:
            self._told = dict(sampler.unread)
            self.tell(self._told)

    def end(self) -> None:
        """Take the last sample, unless the one before is too recent."""
        if self._sampler is not None and self._sampler.can_end:
            self._take(self._sampler)

    def forget(self) -> None:
        """Let go of everything after a fork."""
        super().forget()
        self._sampler = None

    def _take(self, sampler: SystemSampler) -> None:
        found = sampler.sample()
        if found:
            self.log(found, max(0, (now() - self._began) // 1_000_000))
