"""Policy: one callback's configuration in one run, and the way its decisions are recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tracker import values
from tracker.clock import now
from tracker.errors import BadValue
from tracker.ids import new_id
from tracker.queries.callbacks import changed
from tracker.recording import resume
from tracker.redact import redact, redact_data

if TYPE_CHECKING:
    from tracker.recording.run import Run

VERDICTS = (
    "improved", "waited", "stopped", "restored", "saved", "skipped", "reduced", "scheduled", "pruned",
)  # fmt: skip

log = logging.getLogger("tracker")


class Policy:
    """What `Run.add_policy` returns.

    Attributes:
        id, kind, monitor, rules: what it is; ``kind`` is the callback's class name.
        config: its arguments, as plain data.
        saved_config: the arguments it had in the attempt before, None in a new run.
    """

    def __init__(
        self,
        run: Run,
        kind: str,
        monitor: str | None,
        config: Mapping[str, Any] | None,
        rules: str | None,
    ) -> None:
        self.id = new_id()
        self.kind = kind = values.clean_text(str(kind))
        self.monitor = monitor = None if monitor is None else values.clean_text(str(monitor))
        self.rules = None if rules is None else values.clean_text(str(rules))
        self.config: dict[str, Any] = values.plain(dict(config or {}))
        self.number = run.next_number("policy")
        self._run = run
        self._earlier = resume.earlier_policies(run, kind, monitor, self.number)
        self.saved_config = self._earlier.config

    @property
    def saved_state(self) -> dict[str, Any] | None:
        """The state after the last effective decision before ``run.first_epoch``; None in a new run."""
        return resume.saved_state(self._run, self._earlier)

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Arguments that differ from those of the attempt before: name → (then, now)."""
        return changed(self.saved_config or {}, self.config)

    def configure(self, **settings: Any) -> None:
        """Record the arguments, with some that were not known before, such as what ``mode="auto"`` means."""
        self.config.update(values.plain(settings))
        self._run.writer.record(
            {
                "kind": "policy",
                "row": {
                    "id": self.id,
                    "run_id": self._run.id,
                    "attempt": self._run.attempt,
                    "number": self.number,
                    "kind": self.kind,
                    "monitor": self.monitor,
                    "rules": self.rules,
                    "config": values.to_json(redact_data(self.config)),
                },
            }
        )

    def decide(
        self,
        verdict: str,
        *,
        epoch: int,
        reason: str,
        step: int | None = None,
        value: float | None = None,
        best: float | None = None,
        best_epoch: int | None = None,
        wait: int | None = None,
        lr_before: float | None = None,
        lr_after: float | None = None,
        path: Any = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a decision; durable when this returns.

        Args:
            verdict: one of `VERDICTS`.
            epoch: the 0-based epoch that it was taken at.
            reason: one sentence that a person understands.
            step: how many training batches were done.
            value: what the monitored metric was; NaN and infinities are kept as they are.
            best: the best value so far, this epoch's included.
            best_epoch: the 0-based epoch that it came from.
            wait: how many checks in a row have brought nothing better, this one included.
            lr_before, lr_after: the learning rate before and after, where the verdict is about it.
            path: the file that was saved, skipped or pruned; kept relative to the database's project.
            state: what a resumed run gets back as `saved_state`, plain data.

        Raises:
            BadValue: for an unknown verdict, or an epoch, step or number that is none.
            RunClosed: when the run has finished.
        """
        if verdict not in VERDICTS:
            raise BadValue(f"verdict is {verdict!r}: possible are {', '.join(VERDICTS)}.")
        self._run.check_open()
        if not self._run.recording:
            return
        at = values.whole(epoch, "epoch", most=_MOST)
        kept, kept_kind = values.split(_number(value, "value"))
        top, top_kind = values.split(_number(best, "best"))
        self._run.writer.record(
            {
                "kind": "decision",
                "claims": at >= self._run.first_epoch,  # a lower one belongs to what was done
                "row": {
                    "run_id": self._run.id,
                    "attempt": self._run.attempt,
                    "number": self._run.next_number("decision"),
                    "policy_id": self.id,
                    "epoch": at,
                    "step": None if step is None else values.whole(step, "step"),
                    "monitor": self.monitor,
                    "value": kept,
                    "value_kind": kept_kind,
                    "best": top,
                    "best_kind": top_kind,
                    "best_epoch": _whole(best_epoch, "best_epoch"),
                    "wait": _whole(wait, "wait"),
                    "verdict": verdict,
                    "reason": values.clean_text(redact(reason)),
                    "lr_before": _number(lr_before, "lr_before"),
                    "lr_after": _number(lr_after, "lr_after"),
                    "path": None if path is None else self._run.writer.stored_path(path),
                    "state": None if state is None else values.to_json(state),
                    "decided": now(),
                    "superseded": False,
                },
            }
        )


_MOST = 2**31 - 1


def _number(value: Any, name: str) -> float | None:
    return None if value is None else values.number(value, name)


def _whole(value: Any, name: str) -> int | None:
    return None if value is None else values.whole(value, name, most=_MOST)


def add_policy(
    run: Run, kind: str, monitor: str | None, config: Mapping[str, Any] | None, rules: str | None
) -> Policy:
    """Register a policy with its run, and note arguments that changed since the attempt before."""
    policy = Policy(run, kind, monitor, config, rules)
    policy.configure()
    for name, (then, new) in policy.changed.items():
        log.warning(
            "local-tracker: %s goes on with %s=%r; the attempt before had %r.",
            kind,
            name,
            new,
            then,
        )
    return policy
