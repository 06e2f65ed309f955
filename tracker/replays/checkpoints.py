"""Replays of ModelCheckpoint over what was recorded: which files would have been saved, and which stayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any

from tracker.errors import BadValue
from tracker.models import DECISION
from tracker.policies import KERAS, Best, TopK, reasons
from tracker.queries import Listing
from tracker.queries.callbacks import RecordedCallback, decided
from tracker.queries.listing import Column, columns
from tracker.replays import curves
from tracker.replays.settings import LeftOut, arguments, each_callback, remark
from tracker.storage.database import Reader

FILES = columns(
    Column("run", "text"), DECISION.c.epoch, DECISION.c.step, DECISION.c.monitor, DECISION.c.value,
    DECISION.c.verdict, Column("gone_epoch", "optional"), Column("filepath", "text"), DECISION.c.reason,
)  # fmt: skip
_NO_CHECKS = ("training raised ", "could not be saved")
"""Begins of reasons that are no rule's: ``save_on_exception``, and a disk that was full."""


@dataclass(frozen=True)
class Check:
    """One time at which it was decided whether to save; ``path`` is what was saved then."""

    epoch: int
    step: int | None
    value: float | None
    path: str | None = None


@dataclass(frozen=True)
class File:
    """One file that would have been saved; ``verdict`` says what became of it."""

    check: Check
    reason: str
    verdict: str = "saved"
    gone_epoch: int | None = None


@dataclass(frozen=True)
class Rules:
    """How one ModelCheckpoint decides.

    Attributes:
        best, top: when it saves, and what it keeps.
        place: what a check's file is called; a later file of that name replaces it.
        last_stays: whether it saves whatever the others are like, and never deletes the best and the
            last file (Keras' adapter), or saves only what is going to be kept (torch's).
    """

    best: Best
    top: TopK
    place: Callable[[Check], Hashable]
    last_stays: bool


def kept_files(
    reader: Reader, runs: Sequence[str], asked: Mapping[str, Any], left: LeftOut
) -> Listing:
    """Return which files ModelCheckpoint would have saved, a row a file, and what became of each.

    ``verdict`` is "saved" for a file that would be there at the end, "pruned" for one deleted since and
    "replaced" for one that a later file of the same name has taken the place of, both at ``gone_epoch``.
    Every setting that is not asked for is the run's own, its file name included; of several such callbacks
    each is replayed, and ``filepath`` tells them apart. A run without one is replayed with
    ``save_best_only=True`` and one file name, or with ``keep`` files, one an epoch.

    Raises:
        UnknownMetric: when a run that was named has no such metric.
        BadValue: for settings that cannot be, or another metric where files were saved between epochs.
    """
    if reader.empty:
        return Listing(FILES)
    rows: list[tuple[Any, ...]] = []
    for run, name, callback, there in each_callback(
        reader, runs, "ModelCheckpoint", asked.get("monitor")
    ):
        config = arguments(Best, callback, asked, there)
        own = callback is not None and config["monitor"] == callback.monitor
        if not own and left.leave_out(run, name, config["monitor"], there):
            continue
        checks = _checks(reader, run, callback if own else None, config["monitor"], name)
        if callback is not None and not own:
            checks = _as_often(reader, callback, checks, name)
        rules = _rules(callback, config, asked.get("keep"), checks)
        files = saved_files(checks, rules)
        added = remark(rules.best.rules, callback, asked)
        path = None if callback is None else callback.config.get("filepath")
        rows += [
            (name, one.check.epoch, one.check.step, config["monitor"], one.check.value,
             one.verdict, one.gone_epoch, path, one.reason + added)
            for one in files
        ]  # fmt: skip
    return Listing(FILES, rows)


def _checks(
    reader: Reader, run: str, callback: RecordedCallback | None, monitor: str, name: str
) -> list[Check]:
    if callback is None:
        line = curves.curves(reader, [run], monitor)[run]
        return [Check(epoch, None, value) for epoch, value in line.points]
    return [
        Check(row.epoch, row.step, row.value, row.path)
        for row in decided(reader, callback)
        if row.verdict in ("saved", "skipped") and not row.reason.startswith(_NO_CHECKS)
    ]


def _as_often(
    reader: Reader, callback: RecordedCallback, checks: Sequence[Check], name: str
) -> list[Check]:
    """Return the checks of those epochs at which the callback made one."""
    if callback.config.get("save_freq", "epoch") != "epoch":
        raise BadValue(
            f"The ModelCheckpoint of {name} saved every {callback.config['save_freq']} steps, and only "
            f"{callback.monitor} is recorded of them: leave monitor out, or name that one."
        )
    made = {one.epoch: one for one in _checks(reader, "", callback, "", name)}
    return [
        replace(made[one.epoch], value=one.value, path=None) for one in checks if one.epoch in made
    ]


def _rules(
    callback: RecordedCallback | None,
    config: dict[str, Any],
    keep: int | None,
    checks: Sequence[Check],
) -> Rules:
    had = {} if callback is None else callback.config
    if callback is None:
        config["save_best_only"] = keep is None
    kept = had.get("keep") if keep is None else keep
    keras = (
        "rules" not in had and config.get("rules") == KERAS
    )  # torch's callbacks have such an argument
    if keras and kept is None and not config.get("save_best_only") and config.get("mode") == "auto":
        config["mode"] = "min"  # nothing is compared: Keras does not ask the name either
    best = Best(**config)
    top = TopK(kept, best.monitor, best.mode, **({} if keras else {"rules": best.rules}))
    if keep is not None and keep != had.get("keep"):
        return Rules(best, top, lambda check: (check.epoch, check.step), keras)
    return Rules(best, top, _names(had.get("filepath"), callback, checks), keras)


def _names(
    template: str | None, callback: RecordedCallback | None, checks: Sequence[Check]
) -> Callable[[Check], Hashable]:
    """Say which checks' files have the same name, by the template, else by the names that are recorded."""
    if callback is None:
        return lambda check: None
    if template is None:
        paths = [check.path for check in checks if check.path is not None]
        one_name = len(paths) > 1 and len(set(paths)) == 1
        return lambda check: None if one_name else (check.epoch, check.step)
    fields = {field for _, field, _, _ in Formatter().parse(str(template)) if field is not None}
    by_epoch, by_step = "epoch" in fields, bool(fields & {"step", "batch"})
    by_metric = bool(fields - {"epoch", "step", "batch", "run"})
    return lambda check: (
        check.epoch if by_epoch else None,
        check.step if by_step else None,
        (check.path or (check.epoch, check.step)) if by_metric else None,
    )


def saved_files(checks: Sequence[Check], rules: Rules) -> list[File]:
    """Return the files that would have been saved, in that order."""
    state, files = rules.best.initial(), dict[int, File]()
    there: list[int] = []
    for at, check in enumerate(checks):
        state, verdict = rules.best.step(state, check.epoch, check.value)
        if not verdict.save:
            continue
        name = rules.place(check)
        others = [one for one in there if rules.place(checks[one]) != name]
        dropped = _dropped([*others, at], checks, rules)
        if at in dropped:
            continue
        files[at] = File(check, verdict.reason)
        for one in there:
            if one not in others:
                said = reasons.replaced(check.epoch)
                files[one] = replace(
                    files[one], reason=said, verdict="replaced", gone_epoch=check.epoch
                )
        for one, reason in dropped.items():
            files[one] = replace(
                files[one], reason=reason, verdict="pruned", gone_epoch=check.epoch
            )
        there = [one for one in (*others, at) if one not in dropped]
    return list(files.values())


def _dropped(there: Sequence[int], checks: Sequence[Check], rules: Rules) -> dict[int, str]:
    """Return which of the files go, the newest last, each with the reason."""
    top = rules.top
    if top.keep is None:
        return {}
    if rules.last_stays and all(checks[one].value is None for one in there):
        top = TopK(top.keep)
    ranked = [(one, checks[one].value, checks[one].epoch) for one in there]
    chosen = top.choose(ranked)
    dropped = dict(zip(chosen.drop, chosen.reasons, strict=True))
    if rules.last_stays:
        judged = [file for file in ranked if file[1] is not None and not math.isnan(file[1])]
        best = TopK(1, top.monitor, top.mode, top.rules).choose(judged).keep
        dropped = {one: why for one, why in dropped.items() if one not in (*best, there[-1])}
    return dropped
