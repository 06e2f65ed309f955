"""Replays of ModelCheckpoint over what was recorded: which files it would have saved and kept. Experimental."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any

from tracker.checkpointing.retention import Saved, protected
from tracker.errors import BadValue
from tracker.policies import KERAS, TRANSFORMERS, Best, Retention, reasons
from tracker.queries.callbacks import Decided, RecordedCallback, callbacks, decided, file_sizes
from tracker.queries.result import Column, Listing
from tracker.replays import curves
from tracker.replays.missing_metrics import MissingMetrics
from tracker.replays.settings import Setup, setups
from tracker.states import Cause, VerdictWord
from tracker.storage.database import Reader

FILES = (
    Column("run", "text"),
    Column("epoch", "integer"),
    Column("step", "optional"),
    Column("monitor", "text"),
    Column("value", "number"),
    Column("verdict", "text"),
    Column("gone_epoch", "optional"),
    Column("filepath", "text"),
    Column("reason", "text"),
)


@dataclass(frozen=True)
class Check:
    """A moment at which it was decided whether to save; ``path`` is what was saved then, ``size`` in bytes."""

    epoch: int
    step: int | None
    value: float | None
    path: str | None = None
    size: int = 0

    @property
    def moment(self) -> Hashable:
        """What tells it from other checks."""
        return self.epoch, self.step


@dataclass(frozen=True)
class File:
    """A file that would have been saved; ``verdict`` says what became of it, at ``gone_epoch``."""

    check: Check
    reason: str
    verdict: str = "saved"
    gone_epoch: int | None = None


@dataclass(frozen=True)
class Rules:
    """How one ModelCheckpoint decides.

    Attributes:
        best: when it saves.
        kept: which files it keeps.
        file_name: names the file of a check; a later file of that name replaces it.
        keeps_last: whether it saves whatever the other files are like, and never deletes the best and the
            last one, as Keras' adapter does; torch's saves only what it is going to keep.
        deletes_oldest: whether it deletes the oldest files, and never the best and the last one, as the Trainer
            of Transformers does.
    """

    best: Best
    kept: Retention
    file_name: Callable[[Check], Hashable]
    keeps_last: bool
    deletes_oldest: bool = False


def kept_files(
    reader: Reader, runs: Sequence[str], given: Mapping[str, Any], missing: MissingMetrics
) -> Listing:
    """Return which files ModelCheckpoint would have saved, one row per file, and what became of each.

    ``verdict`` is "saved" for a file that would exist at the end, "pruned" for one that was deleted, and
    "replaced" for one whose name a later file has taken, both at ``gone_epoch``. Every setting that is not
    given is the run's own, its file name included; of several such callbacks each is replayed, and
    ``filepath`` tells them apart. A run without one is replayed with ``save_best_only=True`` and one file
    name, or with ``keep`` files, one per epoch. Where a size limits them, a file that was never saved
    counts as much as the largest that was.

    Raises:
        UnknownMetric: when a run that was named has no such metric.
        BadValue: for settings that cannot be, another metric where files were saved between epochs, and a
            size where no file was saved.
    """
    if reader.empty:
        return Listing(FILES)
    own = callbacks(reader, runs, "ModelCheckpoint")
    rows: list[tuple[Any, ...]] = []
    for setup in setups(reader, runs, own, Best, given):
        # What the run's own callback looked at, was recorded with its decisions.
        if not setup.is_own_metric and missing.leave_out(setup):
            continue
        checks = _checks(reader, setup)
        rules = _rules(setup, given.get("keep"), checks)
        if rules.kept.size is not None:
            checks = _with_sizes(reader, setup, checks)
        path = None if setup.callback is None else setup.callback.config.get("filepath")
        rows += [
            (
                setup.name, file.check.epoch, file.check.step, setup.monitor, file.check.value,
                file.verdict, file.gone_epoch, path, setup.explained(file.reason, rules.best.rules),
            )
            for file in saved_files(checks, rules)
        ]  # fmt: skip
    return Listing(FILES, rows)


def _checks(reader: Reader, setup: Setup) -> list[Check]:
    """Return when it is to be decided whether to save, and by which value."""
    own = [] if setup.callback is None else _recorded_checks(reader, setup.callback)
    if setup.is_own_metric:
        return own
    points = curves.curves(reader, [setup.run], setup.monitor)[setup.run].points
    if setup.callback is None:
        return [Check(epoch, None, value) for epoch, value in points]
    frequency = setup.callback.config.get("save_freq", "epoch")
    if frequency != "epoch":
        raise BadValue(
            f"The ModelCheckpoint of {setup.name} saved every {frequency} steps, for which only "
            f"{setup.callback.monitor} was recorded: leave monitor out, or name that metric."
        )
    by_epoch = {check.epoch: check for check in own}
    return [
        replace(by_epoch[epoch], value=value, path=None)
        for epoch, value in points
        if epoch in by_epoch
    ]


def _with_sizes(reader: Reader, setup: Setup, checks: Sequence[Check]) -> list[Check]:
    """Return the checks with the sizes of their files."""
    known = {} if setup.callback is None else file_sizes(reader, setup.callback)
    if not known and checks:
        raise BadValue(
            f"{setup.name} saved no file, so the size of one is unknown: leave the size out, or name "
            f"runs whose ModelCheckpoint saved some."
        )
    of_epoch = {epoch: size for (epoch, _), size in known.items()}
    largest = max(known.values(), default=0)
    return [
        replace(
            check, size=known.get((check.epoch, check.step)) or of_epoch.get(check.epoch, largest)
        )
        for check in checks
    ]


def _moment(check: Check) -> Hashable:
    return check.moment


def _recorded_checks(reader: Reader, callback: RecordedCallback) -> list[Check]:
    return [
        Check(decision.epoch, decision.step, decision.value, decision.path)
        for decision in decided(reader, callback)
        if decision.verdict in (VerdictWord.SAVED, VerdictWord.SKIPPED)
        and _was_decided_by_rule(decision)
    ]


def _was_decided_by_rule(decision: Decided) -> bool:
    """Return whether the callback's rule decided: not an exception in training, nor a full disk."""
    return decision.cause not in (Cause.EXCEPTION, Cause.NOT_WRITTEN, Cause.SAVE_LAST)


def _was_decided_by_keras(setup: Setup) -> bool:
    """Return whether Keras' callback decided: torch's, which can follow Keras' rules, has an argument for that."""
    has_rules_argument = setup.callback is not None and "rules" in setup.callback.config
    return setup.arguments.get("rules") == KERAS and not has_rules_argument


def _rules(setup: Setup, keep: int | Retention | None, checks: Sequence[Check]) -> Rules:
    config = {} if setup.callback is None else setup.callback.config
    own_keep = config.get("keep")
    kept = own_keep if keep is None else keep
    by_keras = _was_decided_by_keras(setup)
    arguments = dict(setup.arguments)
    if setup.callback is None:
        arguments["save_best_only"] = keep is None
    compares = arguments.get("save_best_only") or kept is not None
    if by_keras and not compares and arguments.get("mode") == "auto":
        # Nothing is compared, so that Keras does not derive a direction from the name either.
        arguments["mode"] = "min"
    best = Best(**arguments)
    has_own_order = not by_keras and best.rules != TRANSFORMERS
    order = {"rules": best.rules} if has_own_order else {}
    rule = Retention.of(kept, best.monitor, best.mode, **order)
    if best.rules == TRANSFORMERS and rule.settings != rule.best:
        raise BadValue(
            f"The Trainer of {setup.name} keeps a number of checkpoints, the newest and the best: give that "
            f"number alone, as in keep=3."
        )
    is_own = keep is None or rule.settings == own_keep
    file_name = _file_names(setup.callback, checks) if is_own else _moment
    return Rules(best, rule, file_name, by_keras, best.rules == TRANSFORMERS)


def _file_names(
    callback: RecordedCallback | None, checks: Sequence[Check]
) -> Callable[[Check], Hashable]:
    """Return what tells files apart: the fields in the callback's template, else the recorded paths."""
    if callback is None:
        return lambda check: None
    template = callback.config.get("filepath")
    if template is None:
        paths = [check.path for check in checks if check.path is not None]
        is_one_file = len(paths) > 1 and len(set(paths)) == 1
        return lambda check: None if is_one_file else check.moment
    fields = {field for _, field, _, _ in Formatter().parse(str(template)) if field is not None}
    by_epoch, by_step = "epoch" in fields, bool(fields & {"step", "batch"})
    by_metric = bool(fields - {"epoch", "step", "batch", "run"})
    return lambda check: (
        check.epoch if by_epoch else None,
        check.step if by_step else None,
        (check.path or check.moment) if by_metric else None,
    )


def saved_files(checks: Sequence[Check], rules: Rules) -> list[File]:
    """Return the files that would have been saved, in that order."""
    state = rules.best.initial()
    files: dict[int, File] = {}
    present: list[int] = []
    for place, check in enumerate(checks):
        state, verdict = rules.best.step(state, check.epoch, check.value)
        if not verdict.save:
            continue
        name = rules.file_name(check)
        same_name = [one for one in present if rules.file_name(checks[one]) == name]
        candidates = [*(one for one in present if one not in same_name), place]
        pruned = _pruned(candidates, checks, rules)
        if place in pruned:
            continue
        files[place] = File(check, verdict.reason)
        gone = {
            **{one: ("replaced", reasons.replaced(check.epoch)) for one in same_name},
            **{one: ("pruned", reason) for one, reason in pruned.items()},
        }
        for one, (fate, reason) in gone.items():
            files[one] = File(files[one].check, reason, fate, gone_epoch=check.epoch)
        present = [one for one in candidates if one not in pruned]
    if rules.deletes_oldest and rules.kept.best == 1:
        _leave_only_the_best(files, present, checks, rules)
    return list(files.values())


def _leave_only_the_best(
    files: dict[int, File], present: Sequence[int], checks: Sequence[Check], rules: Rules
) -> None:
    """Delete what the Trainer deletes at its end, where one checkpoint is to stay: the last, if it is not the best."""
    best, reason = _best(present, checks, rules), reasons.pruned_by_age(1)
    if best is None:
        return
    for place in present:
        if place != best:
            files[place] = File(files[place].check, reason, "pruned", gone_epoch=checks[-1].epoch)


def _pruned(candidates: Sequence[int], checks: Sequence[Check], rules: Rules) -> dict[int, str]:
    """Return which of the files are deleted, and why; the newest one comes last."""
    rule = rules.kept
    if rule.settings is None:
        return {}
    if rules.deletes_oldest:
        return _oldest(candidates, checks, rules, rule.best or 0)
    if rules.keeps_last and all(checks[place].value is None for place in candidates):
        rule = replace(rule, monitor=None)
    ranked = [(place, checks[place].value, checks[place].epoch) for place in candidates]
    kept = rule.choose(ranked, {place: checks[place].size for place in candidates})
    pruned = dict(zip(kept.drop, kept.reasons, strict=True))
    if rules.keeps_last:
        saved = [Saved(str(place), rule.monitor, value, rule.mode) for place, value, _ in ranked]
        for id in protected(saved):
            pruned.pop(int(id), None)
    return pruned


def _oldest(
    candidates: Sequence[int], checks: Sequence[Check], rules: Rules, keep: int
) -> dict[int, str]:
    """Return the oldest files that are more than ``keep``, without the best and the newest one."""
    spared = {candidates[-1], _best(candidates, checks, rules)} - {None}
    surplus = max(0, len(candidates) - max(keep, len(spared)))
    oldest = [place for place in candidates if place not in spared]
    return dict.fromkeys(oldest[:surplus], reasons.pruned_by_age(keep))


def _best(candidates: Sequence[int], checks: Sequence[Check], rules: Rules) -> int | None:
    """Return the file with the best value, the first of those that tie; None where none has one."""
    if rules.best.monitor is None:
        return None
    state, best = rules.best.initial(), None
    for place in candidates:
        state, verdict = rules.best.step(state, checks[place].epoch, checks[place].value)
        best = place if verdict.improved else best
    return best
