"""`tracker.replay`: what a callback would have done with other settings, over runs that are recorded.

A replay feeds the recorded values to `tracker.policies`, under the rules that the run was decided with.
It can only shorten a run: an epoch that was never trained has no value.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracker import frames
from tracker.errors import BadValue, nearest
from tracker.policies import MODES
from tracker.queries import Listing
from tracker.queries.listing import listing_of
from tracker.queries.resolve import find_runs, select_runs
from tracker.replays import early_stopping
from tracker.replays.checkpoints import kept_files
from tracker.replays.plateau import reductions
from tracker.replays.settings import POLICIES, LeftOut, as_patiences
from tracker.storage.database import Reader, reading

if TYPE_CHECKING:
    import pandas as pd

    from tracker.recording.run import Run

_OWNERS = {
    "patience": POLICIES[:2],
    "min_delta": POLICIES[:2],
    "baseline": POLICIES[:1],
    "start_from_epoch": POLICIES[:1],
    "factor": POLICIES[1:2],
    "cooldown": POLICIES[1:2],
    "keep": POLICIES[2:],
    "curve": POLICIES[:1],
    "png": POLICIES[:1],
}
"""Whose settings they are; the others are everybody's."""


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
    keep: int | None = None,
    children: bool = False,
    where: str | None = None,
    database: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Return what a callback would have done, over what was recorded.

    Every setting that is not given is the run's own: that of its callback, else Keras' default. Of several
    EarlyStoppings it is the one that looks at ``monitor``; without ``monitor`` the one that stopped the
    run, else the one that restored weights, else the first. Of the others each is replayed.

    Runs without epochs are left out; so are, with a warning, runs without the metric that were not named.

    Args:
        *runs: runs, ids, prefixes or names; none: those that ``where`` leaves, or all.
        policy: "EarlyStopping", "ReduceLROnPlateau" or "ModelCheckpoint".
        patience: one, or of EarlyStopping several.
        min_delta: what an improvement must exceed.
        monitor: the metric; "val_loss" for a run without that callback, "loss" where it has no val_loss.
            For another metric than the callback's its mode, baseline and thresholds do not count.
        mode: "min", "max" or "auto".
        baseline: of EarlyStopping: what the first improvements must beat.
        start_from_epoch: of EarlyStopping: epochs before it are not judged.
        rules: "tracker-1" or "keras-3.15"; those the run was decided with by default.
        factor: of ReduceLROnPlateau: what the learning rate is multiplied by.
        cooldown: of ReduceLROnPlateau: epochs after a reduction that do not count.
        keep: of ModelCheckpoint: how many best files stay.
        children: with the runs that were started with ``parent=`` one of ``runs``.
        where: a filter over runs, such as ``"experiment = 'digits'"``; over those named, where any is.
        database: a path or URL.

    Returns:
        A frame: for EarlyStopping a row for each run and patience, with the columns of
        `tracker.replays.early_stopping.Outcome`; for ReduceLROnPlateau a row a reduction (epoch, factor, lr_before,
        lr_after, reason …); for ModelCheckpoint a row a file that would have been saved (epoch, verdict,
        gone_epoch, reason …).

    Raises:
        UnknownMetric: when a run that was named has no such metric, or none of the others has it.
        UnknownRun, AmbiguousRun: for a name of no run, or of several.
        BadValue: for a setting that cannot be, or that is another policy's.
    """
    asked: dict[str, Any] = {
        "min_delta": min_delta, "monitor": monitor, "mode": mode, "baseline": baseline,
        "start_from_epoch": start_from_epoch, "rules": rules, "factor": factor, "cooldown": cooldown,
        "keep": keep,
    }  # fmt: skip
    check(policy, {**asked, "patience": patience}, "{}=".format)
    patiences = as_patiences(patience)
    with reading(database) as reader:
        ids, left = chosen(reader, [frames.named(run) for run in runs], where, children=children)
        listing = replayed(reader, ids, policy, patiences, asked, left)
        said = left.said(reader, ids)
    if said is not None:
        warnings.warn(f"{said}.", stacklevel=2)
    return frames.frame(listing)


def chosen(
    reader: Reader, names: Sequence[str], where: str | None, *, children: bool
) -> tuple[list[str], LeftOut]:
    """Return the ids of the runs to replay (see `select_runs`), and what leaves out those that nobody named."""
    ids = select_runs(reader, names, where, children=children)
    return ids, LeftOut(find_runs(reader, names))


def replayed(
    reader: Reader,
    ids: Sequence[str],
    policy: str,
    patiences: list[int] | None,
    asked: Mapping[str, Any],
    left: LeftOut,
) -> Listing:
    """Return what `replay` does, as a listing, of the runs with these ids."""
    if policy == "ReduceLROnPlateau":
        return reductions(reader, ids, {**asked, "patience": only(patiences, policy)}, left)
    if policy == "ModelCheckpoint":
        return kept_files(reader, ids, asked, left)
    return listing_of(
        early_stopping.Outcome, early_stopping.outcomes(reader, ids, patiences, asked, left)
    )


def check(policy: str, given: Mapping[str, Any], spelled: Callable[[str], str]) -> None:
    """Refuse a policy or mode that there is none of, and settings of another policy.

    Args:
        policy: what is to be replayed.
        given: settings by name; None and False are not given.
        spelled: how a setting is written where the call came from, such as ``--keep``.

    Raises:
        BadValue: names the setting and whose it is.
    """
    if policy not in POLICIES:
        raise BadValue(
            f"policy is {policy!r}: {nearest(policy, POLICIES)} Others cannot be replayed."
        )
    mode = given.get("mode")
    if mode is not None and mode not in MODES:
        raise BadValue(f"mode is {mode!r}: it must be one of {', '.join(MODES)}.")
    for name, value in given.items():
        owners = _OWNERS.get(name, POLICIES)
        if value is not None and value is not False and policy not in owners:
            add = f"{spelled('policy')}{'' if spelled('policy').endswith('=') else ' '}"
            raise BadValue(
                f"{spelled(name)} belongs to {' and '.join(owners)}: add {add}{owners[0]}"
                + (f", or leave it out for {policy}." if policy != POLICIES[0] else ".")
            )


def only(patiences: Sequence[int] | None, policy: str) -> int | None:
    """Return the one patience that a policy takes."""
    if patiences is not None and len(patiences) > 1:
        raise BadValue(f"patience takes one number for {policy}, not {len(patiences)}.")
    return patiences[0] if patiences else None
