"""Policy: one callback's configuration in one run, and the way its decisions are recorded."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from tracker import values
from tracker.clock import now
from tracker.errors import BadValue
from tracker.ids import new_id
from tracker.queries.callbacks import changed
from tracker.recording import resume
from tracker.recording.writer import RecordedRun
from tracker.redact import redact, redact_data
from tracker.states import Cause, VerdictWord, Word
from tracker.storage import decision_state, entries

log = logging.getLogger("tracker")


class Policy:
    """What `Run.add_policy` returns.

    Attributes:
        id, kind, monitor, rules: what it is; ``kind`` is the callback's class name.
        config: its arguments, as plain data.
        saved_config: the arguments it had in the attempt before, None in a new run.
        saved_state: the state after the last effective decision before ``run.first_epoch``, None in a
            new run; read when the policy is added, and again when the run is rewound.
    """

    def __init__(
        self,
        run: RecordedRun,
        kind: str,
        monitor: str | None,
        config: Mapping[str, Any] | None,
        rules: str | None,
    ) -> None:
        self.id = new_id()
        self.kind = values.name_text(kind, "kind")
        self.monitor = None if monitor is None else values.name_text(monitor, "monitor")
        self.rules = None if rules is None else values.name_text(rules, "rules")
        self.config: dict[str, Any] = values.plain(dict(config or {}))
        self.number = run.next_number("policy")
        self._run = run
        self._earlier = self._earlier_policy()
        self.saved_config = self._earlier.config
        self.saved_state: dict[str, Any] | None = None
        self.load_state()

    def _earlier_policy(self) -> resume.EarlierPolicy:
        run = self._run
        if run.attempt == 1:
            return resume.EarlierPolicy()
        return run.writer.query(
            lambda reader: resume.earlier_policy(
                reader, run.id, run.attempt, self.kind, self.monitor, self.number
            ),
            resume.EarlierPolicy(),
        )

    def load_state(self) -> None:
        """Read `saved_state` for the epoch that the run resumes at."""
        ids, before = self._earlier.ids, self._run.first_epoch
        if ids:
            self.saved_state = self._run.writer.query(
                lambda reader: resume.saved_state(reader, ids, before), None
            )

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Arguments that differ from those of the attempt before: name → (then, now)."""
        return changed(self.saved_config or {}, self.config)

    def configure(self, **settings: Any) -> None:
        """Record the arguments, with some that were not known before, such as what ``mode="auto"`` means."""
        self.config.update(values.plain(settings))
        self._run.writer.record(
            entries.policy(
                {
                    "id": self.id,
                    "run_id": self._run.id,
                    "attempt": self._run.attempt,
                    "number": self.number,
                    "kind": self.kind,
                    "monitor": self.monitor,
                    "rules": self.rules,
                    "config": values.to_json(redact_data(self.config)),
                }
            )
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
        path: str | os.PathLike[str] | None = None,
        state: Mapping[str, Any] | None = None,
        cause: Cause | str | None = None,
    ) -> None:
        """Record a decision; durable when this returns.

        Args:
            verdict: one of `tracker.states.VerdictWord`.
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
            cause: one of `tracker.states.Cause`, where something else than the callback's rule brought
                the decision about.

        Raises:
            BadValue: if the verdict or cause is unknown, or an epoch, step or number is not one.
            RunClosed: when the run has finished.
        """
        word = _one_of(VerdictWord, verdict, "verdict")
        code = None if cause is None else _one_of(Cause, cause, "cause")
        run = self._run
        run.check_open()
        at = values.whole(epoch, "epoch", most=_MOST)
        kept, kept_kind = values.split(_number(value, "value"))
        top, top_kind = values.split(_number(best, "best"))
        row: entries.DecisionRow = {
            "run_id": run.id,
            "attempt": run.attempt,
            "number": run.next_number("decision"),
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
            "verdict": word,
            "reason": values.clean_text(redact(reason)),
            "lr_before": _number(lr_before, "lr_before"),
            "lr_after": _number(lr_after, "lr_after"),
            "path": None if path is None else run.writer.stored_path(path),
            "state": decision_state.encode(state, code),
            "decided": now(),
            "superseded": False,
        }
        # An epoch before the first one of this attempt belongs to what was done earlier.
        stays = run.kept if at == run.first_epoch else None
        run.writer.record(entries.decision(row, claims=at >= run.first_epoch, kept=stays))


_MOST = 2**31 - 1


def _number(value: Any, name: str) -> float | None:
    return None if value is None else values.number(value, name)


def _whole(value: Any, name: str) -> int | None:
    return None if value is None else values.whole(value, name, most=_MOST)


_Words = TypeVar("_Words", bound=Word)


def _one_of(words: type[_Words], given: str, name: str) -> _Words:
    try:
        return words(given)
    except ValueError:
        raise BadValue(f"{name} is {given!r}: possible are {', '.join(words)}.") from None


def add_policy(
    run: RecordedRun,
    kind: str,
    monitor: str | None,
    config: Mapping[str, Any] | None,
    rules: str | None,
) -> Policy:
    """Register a policy with its run, and report arguments that a resume changed."""
    policy = Policy(run, kind, monitor, config, rules)
    policy.configure()
    # A second training of this process begins anew: nothing resumes, whatever its settings.
    for name, (then, new) in policy.changed.items() if run.is_resumed else ():
        log.warning(
            "local-tracker: %s resumes with %s=%r; the attempt before had %r.",
            kind,
            name,
            new,
            then,
        )
    return policy
