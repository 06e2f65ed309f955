"""`tracker.replay`: what a callback would have done with other settings, over recorded runs.

A replay feeds the recorded values to `tracker.policies`, under the rules that decided the run.
It can only shorten a run: an epoch that was never trained has no value.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracker import frames
from tracker.errors import BadValue, nearest
from tracker.policies import MODES, Retention
from tracker.queries.resolve import find_runs, select_runs
from tracker.queries.result import Listing, listing_of
from tracker.replays.checkpoints import kept_files
from tracker.replays.early_stopping import Outcome, outcomes
from tracker.replays.missing_metrics import MissingMetrics
from tracker.replays.plateau import Reduction, reductions
from tracker.replays.settings import patiences_of
from tracker.storage.database import Reader, reading

if TYPE_CHECKING:
    import pandas as pd

    from tracker.recording.run import Run

EARLY_STOPPING = "EarlyStopping"
PLATEAU = "ReduceLROnPlateau"
CHECKPOINT = "ModelCheckpoint"
POLICIES = (EARLY_STOPPING, PLATEAU, CHECKPOINT)
"""The callbacks that can be replayed."""

_POLICIES_WITH = {
    "patience": (EARLY_STOPPING, PLATEAU),
    "min_delta": (EARLY_STOPPING, PLATEAU),
    "baseline": (EARLY_STOPPING,),
    "start_from_epoch": (EARLY_STOPPING,),
    "curve": (EARLY_STOPPING,),
    "png": (EARLY_STOPPING,),
    "factor": (PLATEAU,),
    "cooldown": (PLATEAU,),
    "keep": (CHECKPOINT,),
    "last": (CHECKPOINT,),
    "every": (CHECKPOINT,),
    "max_size": (CHECKPOINT,),
}
"""The policies that have a setting; one that is not named here is a setting of all."""

Spelling = Callable[..., str]
"""Writes a setting, and its value where there is one, as the caller has to: ``keep=3`` or ``--keep 3``."""


def replay(
    *runs: str | Run,
    policy: str = "EarlyStopping",
    patience: int | Iterable[int] | None = None,
    min_delta: float | None = None,
    monitor: str | None = None,
    mode: str | None = None,
    baseline: float | None = None,
    start_from_epoch: int | None = None,
    rules: str | None = None,
    factor: float | None = None,
    cooldown: int | None = None,
    keep: int | Retention | None = None,
    children: bool = False,
    where: str | None = None,
    database: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Return what a callback would have done, given what was recorded.

    Every setting that is not given is the run's own: that of its callback, else Keras' default. Of several
    EarlyStoppings it is the one that watches ``monitor``; without ``monitor`` the one that stopped the
    run, else the one that restored weights, else the first. Of the others each is replayed.

    Runs without epochs are left out; so are, with a warning, runs without the metric that were not named.

    Replays of ReduceLROnPlateau and ModelCheckpoint are experimental. What another learning rate would have
    done to the metric nobody recorded: only the first reduction of a run is certain.

    Args:
        *runs: runs, ids, prefixes or names; without any, those that match ``where``, or all.
        policy: "EarlyStopping", "ReduceLROnPlateau" or "ModelCheckpoint".
        patience: one, or several for EarlyStopping.
        min_delta: what an improvement must exceed.
        monitor: the metric; for a run without that callback "val_loss", or "loss" where it has no val_loss.
            For another metric than the callback's, its mode, baseline and thresholds do not count.
        mode: "min", "max" or "auto".
        baseline: for EarlyStopping: what the first improvements must beat.
        start_from_epoch: for EarlyStopping: epochs before it are not judged.
        rules: "tracker-1", "keras-3.15", or for EarlyStopping and ModelCheckpoint "transformers-5" or
            "lightning-2.6"; by default those that decided the run.
        factor: for ReduceLROnPlateau: what the learning rate is multiplied by.
        cooldown: for ReduceLROnPlateau: epochs after a reduction that do not count.
        keep: for ModelCheckpoint: how many best files stay, or a `tracker.policies.Retention` such as
            ``Retention(best=3, last=2, every=10, size="20GB")``.
        children: also the runs that were started with ``parent=`` one of ``runs``.
        where: a filter such as ``"experiment = 'digits'"``; it applies to ``runs``, too.
        database: a path or URL.

    Returns:
        A frame: for EarlyStopping one row per run and patience, with the columns of
        `tracker.replays.early_stopping.Outcome`; for ReduceLROnPlateau one row per reduction, with those
        of `tracker.replays.plateau.Reduction`; for ModelCheckpoint one row per file that would have been
        saved (epoch, verdict, gone_epoch, reason …).

    Raises:
        UnknownMetric: when a run that was named has no such metric, or none of the others has it.
        UnknownRun, AmbiguousRun: for the name of no run, or of several.
        BadValue: for a setting that is impossible, or another policy's.
    """
    given: dict[str, Any] = {
        "min_delta": min_delta, "monitor": monitor, "mode": mode, "baseline": baseline,
        "start_from_epoch": start_from_epoch, "rules": rules, "factor": factor, "cooldown": cooldown,
        "keep": keep,
    }  # fmt: skip
    check(policy, {**given, "patience": patience})
    patiences = patiences_of(patience)
    with reading(database) as reader:
        ids, missing = select(reader, [frames.named(run) for run in runs], where, children=children)
        listing = replay_runs(reader, ids, policy, patiences, given, missing)
        report = missing.report(reader, ids)
    if report is not None:
        warnings.warn(f"{report}.", stacklevel=2)
    return frames.frame(listing)


def select(
    reader: Reader, names: Sequence[str], where: str | None, *, children: bool
) -> tuple[list[str], MissingMetrics]:
    """Return the ids of the runs to replay, and what leaves out those of them that nobody named."""
    ids = select_runs(reader, names, where, children=children)
    return ids, MissingMetrics(find_runs(reader, names))


def replay_runs(
    reader: Reader,
    ids: Sequence[str],
    policy: str,
    patiences: list[int] | None,
    given: Mapping[str, Any],
    missing: MissingMetrics,
) -> Listing:
    """Return what `replay` does, as a listing, of the runs with these ids."""
    if policy == PLATEAU:
        settings = {**given, "patience": _single_patience(patiences, policy)}
        return listing_of(Reduction, reductions(reader, ids, settings, missing))
    if policy == CHECKPOINT:
        return kept_files(reader, ids, given, missing)
    return listing_of(Outcome, outcomes(reader, ids, patiences, given, missing))


def as_keyword(name: str, value: str | None = None) -> str:
    """Write a setting as Python takes it: ``policy='ModelCheckpoint'``, or ``policy=``."""
    return f"{name}=" if value is None else f"{name}={value!r}"


def as_option(name: str, value: str | None = None) -> str:
    """Write a setting as the command line takes it: ``--policy ModelCheckpoint``, or ``--policy``."""
    option = f"--{name.replace('_', '-')}"
    return option if value is None else f"{option} {value}"


def check(policy: str, given: Mapping[str, Any], spelling: Spelling = as_keyword) -> None:
    """Refuse an unknown policy or mode, and settings of another policy.

    Args:
        policy: what is to be replayed.
        given: settings by name; None and False are not given.
        spelling: how the caller writes a setting.

    Raises:
        BadValue: names the setting and the policies that have it.
    """
    if policy not in POLICIES:
        raise BadValue(
            f"policy is {policy!r}: {nearest(policy, POLICIES)} Others cannot be replayed."
        )
    mode = given.get("mode")
    if mode is not None and mode not in MODES:
        raise BadValue(f"mode is {mode!r}: it must be one of {', '.join(MODES)}.")
    for name, value in given.items():
        policies = _POLICIES_WITH.get(name, POLICIES)
        if value is not None and value is not False and policy not in policies:
            instead = "" if policy == EARLY_STOPPING else f", or leave it out for {policy}"
            raise BadValue(
                f"{spelling(name)} belongs to {' and '.join(policies)}: "
                f"add {spelling('policy', policies[0])}{instead}."
            )


def _single_patience(patiences: Sequence[int] | None, policy: str) -> int | None:
    if patiences is not None and len(patiences) > 1:
        raise BadValue(f"patience takes one number for {policy}, not {len(patiences)}.")
    return patiences[0] if patiences else None
